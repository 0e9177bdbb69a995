"""One propagation, any lens: signals as Hermitian forms in the beams of the probe.

A probe is a sum of plane waves, so the signal of a channel d at exit thickness t is

    I(r0) = Σ_κ Σ_HH' a(H) M_κ,d,t(H, H') a*(H') = Σ_Q c(Q) exp(−2πi Q·r0),   Q = H − H'
    M(H, H') = Σ_G w_d(κ + G) S_κ(G, H) S*_κ(G, H'),   a(H) = A(κ + H) exp(−iχ(κ + H))

with S the scattering matrix of `rhotem.microscope.bloch`: transmission cross coefficients of partially coherent optics
(Hopkins, Proc. R. Soc. A 217, 408, 1953). M knows neither focus nor aberrations, aperture, source, focal spread, dose
or scan: `response` makes it once, `Response` answers for all of these.
"""

from rhotem.scattering.response.images import Response, mean_response
from rhotem.scattering.response.make import response
from rhotem.scattering.response.opened import open_response
from rhotem.scattering.response.range import Range

__all__ = ["Range", "Response", "mean_response", "open_response", "response"]
