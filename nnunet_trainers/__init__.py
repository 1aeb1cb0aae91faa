"""Iris inside nnU-Net. Imports iris_core and nnunetv2, never the apps.

datasets    raw datasets: folders, files, which classes are annotated
unions      one raw dataset made of several
graduation  a raw dataset made of the final labels of a studies folder
planning    raw dataset -> plans and preprocessed storage
episodes    preprocessed storage -> episodes
training    the trainer, the network with its memory bank, what it leaves
cli         commands of `iris`
discovery   the folder in which nnU-Net finds the trainer
"""
