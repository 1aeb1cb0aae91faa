"""The pipeline: from a query and a task to masks, stage by stage.

1. encode         features of the query's windows
2. align          each reference is moved to where the query has the same places
3. place          of look-alike places the one that explains both fields of view best
4. decode         what references say joins the decoder: logits of all classes in one pass
5. fit            the displacement of each reference is fitted to features, then to edges
6. bias           a bias for each class, by which its reference finds itself best
7. mirror         a second pass in the mirror, averaged
8. field of view  classes that the query does not show are emptied
9. close-up       small structures again, in a box around them, at finer voxels
10. fuse          both maps of a class, weighed by their expected Dice

`settings` holds the numbers of each stage and whether it takes part.
"""
