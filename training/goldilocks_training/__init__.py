"""Makes the weights of the default family: scenes, autoencoder, text encoder, evaluator, U-Nets, export."""
