"""Pre-labels: all unlabelled studies, in turn, over and over as the references change."""
