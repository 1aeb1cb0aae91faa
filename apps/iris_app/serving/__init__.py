"""Serving: one server for each datastore. See docs/decisions/0055.

`serving_lock` is the right to serve, `folder_lock` a lock that needs no file, `places` where locks lie, and
`holder` names the process that has one.
"""
