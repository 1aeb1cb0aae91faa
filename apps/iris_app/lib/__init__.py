"""What MONAI Label calls, options, the state folder, and the service that ties the rooms of the app together.

Of the modules of the app these import monailabel: `app`, `infer_task`, `strategies`, `training`, `batch`,
`front`, and those of `datastores` and `routes`. The others run without it.
"""
