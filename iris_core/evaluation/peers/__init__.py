"""Methods that segment the same queries with the same references, to be measured beside the model.

`copy_prompt` moves nothing; `registration` (affine and B-splines) and `convex_adam` carry masks over by a
field between two images (`masks_by_field`); `folder` reads what any other method wrote into files.
"""
