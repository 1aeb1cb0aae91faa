"""UniverSeg (Butoi et al., ICCV 2023) as a peer: its published architecture, trained on our tasks."""
