"""The network: encoder, task encoder, mask decoder and the extensions that join them."""
