"""The bench of places: does the model find the right place, and does it know when it does not?

Seeded pairs of a reference and a query in which the place is hard: look-alike vertebrae, teeth and ribs,
organs in pairs, hearts away from the middle, fields of view that differ, thick slices, turned patients, real
studies that are cropped. Never used for training. Half A may calibrate, half B is reported.
"""
