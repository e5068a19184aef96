"""Makes the large family on a GPU that is lent by the minute: pictures, autoencoder to students, in steps that can be cut off."""
