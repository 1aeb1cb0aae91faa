"""What the app does: state on disk, references, embeddings, pre-labels; and its seams to MONAI Label.

The modules that import monailabel are `app`, `infer_task`, `datastore_view`, `dicom_datastore`, `strategies`,
`training`, `batch` and `front`; all others run without it.
"""
