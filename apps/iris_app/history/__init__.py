"""The versions of every label that was submitted, replaced or deleted, and who has seen which."""
