"""Iris as a MONAI Label app. Imports iris_core and monailabel, never nnunet_trainers.

door         what may be asked and by whom; users: tokens and the login page
routes       the answers to what is asked
waiting      requests that wait for their turn
lib          what MONAI Label calls, options, the state folder, the service
datastores   folders and DICOM archives, through the host
catalogue    studies, final labels, classes, references
computing    from a request to a result: embeddings, results, the worker
prelabels    all unlabelled studies, in turn
submissions  labels that people send; history: their versions; reading: a process that reads them
answers      files and records that are handed out
retries      what failed, and when it is tried again
serving      one server for each datastore; cli: `iris serve`
"""
