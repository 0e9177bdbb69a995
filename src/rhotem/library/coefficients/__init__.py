"""Images of one lens, kept as Fourier coefficients: kilobytes where a response has megabytes."""
