"""The long run of docs/training.md: `make long-run` starts it or goes on with it."""
