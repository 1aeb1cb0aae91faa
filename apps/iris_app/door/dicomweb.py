"""The paths of a DICOMweb archive, as regular expressions: nothing else of an archive can be reached.

They follow DICOM PS3.18: searching studies, series and instances, and retrieving them, their metadata,
frames, pictures and bulk data.
"""

from __future__ import annotations

UID = r"[0-9]{1,64}(?:\.[0-9]{1,64}){0,32}"
FRAMES = r"[0-9]+(?:,[0-9]+)*"
OF_INSTANCE = rf"metadata|rendered|thumbnail|frames/{FRAMES}(?:/rendered)?|bulk(?:data)?(?:/[0-9A-Za-z]+)+"
INSTANCE = rf"instances(?:/{UID}(?:/(?:{OF_INSTANCE}))?)?"
SERIES = rf"series(?:/{UID}(?:/(?:metadata|rendered|thumbnail|{INSTANCE}))?)?"
STUDY = rf"studies(?:/{UID}(?:/(?:metadata|rendered|thumbnail|{SERIES}|{INSTANCE}))?)?"

READ = rf"(?:{STUDY}|series|instances)"  # GET
STORE = rf"studies(?:/{UID})?"  # POST
