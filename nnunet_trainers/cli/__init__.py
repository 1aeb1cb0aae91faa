"""Commands of the nnU-Net side: `iris COMMAND`."""

#: command -> what it does; the entry point `iris.commands` names this package
COMMANDS = {
    "union": "make one nnU-Net dataset of several, each with its own classes",
    "plan-and-preprocess": "prepare nnU-Net datasets for nnUNetv2_train -tr nnUNetTrainerIris",
    "trainer-path": "print the folder that nnU-Net's nnUNet_extTrainer must name",
    "export": "turn a training of nnUNetTrainerIris into one portable file",
    "graduate": "turn the final labels of a MONAI Label studies folder into an nnU-Net dataset",
}
