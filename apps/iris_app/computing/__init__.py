"""From a request to a result: embeddings, tuned ones and results that are kept, and the worker process."""
