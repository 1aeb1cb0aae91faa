"""SNOMED CT codes of anatomy that is often labelled, so that a DICOM SEG says what a segment is.

Names are matched without case, underscores and side; a side is said by a modifier. Codes are those of the
DICOM standard's context groups for anatomy (PS3.16, CID 4031 and those it includes).
"""

from __future__ import annotations

import re

ANATOMY = ("123037004", "Anatomical Structure")
MORPHOLOGY = ("49755003", "Morphologically Abnormal Structure")
TISSUE = ("85756007", "Tissue")
SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}

CODES = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Urinary bladder"),
    "brain": ("12738006", "Brain"),
    "brainstem": ("15926001", "Brainstem"),
    "cerebellum": ("113305005", "Cerebellum"),
    "colon": ("71854001", "Colon"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "eye": ("81745001", "Eye"),
    "femur": ("71341001", "Femur"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "mandible": ("91609006", "Mandible"),
    "optic nerve": ("18234004", "Optic nerve"),
    "pancreas": ("15776009", "Pancreas"),
    "parotid gland": ("45289007", "Parotid gland"),
    "portal vein": ("32764006", "Portal vein"),
    "prostate": ("41216001", "Prostate"),
    "rectum": ("34402009", "Rectum"),
    "sacrum": ("54735007", "Sacrum"),
    "skin": ("39937001", "Skin"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spine": ("421060004", "Vertebral column"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
    "submandibular gland": ("54019009", "Submandibular gland"),
    "thalamus": ("42695009", "Thalamus"),
    "thyroid": ("69748006", "Thyroid gland"),
    "trachea": ("44567001", "Trachea"),
    "uterus": ("35039007", "Uterus"),
    "ventricle": ("35764002", "Brain ventricle"),
    "vertebra": ("51282000", "Vertebra"),
}
LESIONS = {
    "lesion": ("52988006", "Lesion"),
    "tumor": ("108369006", "Tumor"),
    "tumour": ("108369006", "Tumor"),
    "mass": ("4147007", "Mass"),
    "edema": ("79654002", "Edema"),
    "cyst": ("12494005", "Cyst"),
}
SAME = {"urinary bladder": "bladder", "oesophagus": "esophagus", "vertebral column": "spine", "lungs": "lung",
        "kidneys": "kidney", "lesions": "lesion", "spinalcord": "spinal cord"}  # fmt: skip


def segment_attribute(name: str, value: int, color: tuple[int, int, int]) -> dict:
    """How the host's SEG writer is told of one segment.

    Args:
        name: of the class.
        value: in the label map.
        color: (R, G, B), 0-255.

    Returns:
        dcmqi's segment attributes. A class that is not known is coded as tissue, not as another organ.
    """
    words = re.sub(r"[\W_]+", " ", name.casefold()).split()
    side = next((word for word in words if word in SIDES), None)
    plain = " ".join(word for word in words if word != side)
    plain = SAME.get(plain, plain)
    category, kind = ANATOMY, CODES.get(plain)
    if kind is None:
        category, kind = (MORPHOLOGY, LESIONS[plain]) if plain in LESIONS else (TISSUE, TISSUE)
    attribute = {
        "labelID": value,
        "SegmentLabel": name,
        "SegmentDescription": name,
        "SegmentAlgorithmType": "SEMIAUTOMATIC",
        "SegmentAlgorithmName": "Iris",
        "SegmentedPropertyCategoryCodeSequence": _code(*category),
        "SegmentedPropertyTypeCodeSequence": _code(*kind),
        "recommendedDisplayRGBValue": [int(part) for part in color],
    }
    if side is not None and plain in CODES:
        attribute["SegmentedPropertyTypeModifierCodeSequence"] = _code(*SIDES[side])
    return attribute


def _code(value: str, meaning: str) -> dict[str, str]:
    return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}
