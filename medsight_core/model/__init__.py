"""The MedSIGHT model as pure tensors: configuration, tower, perceiver, codebook, projectors, processor."""
