"""How a synthetic person looks to a scanner: layers, brightness, detail, noise."""
