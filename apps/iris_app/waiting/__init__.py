"""Waiting: what happens to a request whose answer has to be computed first.

`order` is what is computed and who waits for it, `line` the queue of orders, `eta` how long they will take,
`steps` the parts of a request that take a thread, `lookout` the looks at the datastore that requests share,
and `person` the end of a request whose client has gone or whose time is up. See docs/decisions/0085.
"""
