"""The paper's analyses (4.3) and the controls of our own, as commands: docs/analyses.md.

python -m benchmarks.analyses NAME --output FOLDER ...

Each module named after an analysis holds its options, its measurement, its table and its picture.
"""
