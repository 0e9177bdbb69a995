"""Energy of a neuroevolution potential and its derivatives with respect to places and to parameters.

Z. Fan et al., Phys. Rev. B 104, 104309 (2021), fourth version, with three- and four-body descriptors up to l = 4, as
GPUMD has them. The derivative of a *force* with respect to the parameters, which training on forces asks for, is the
change of the derivative of the energy along a displacement of the atoms: no second derivatives are written down.
"""

# mypy: disable-error-code="no-untyped-def"
# compiled: numba finds the types

import math

import numpy as np

from rhotem.core.compiled import compiled

#: Cutoffs (Å) of pairs and of angles; radial functions, and Chebyshev polynomials of each, of both; neurons.
PAIRS, ANGLES = 6.0, 4.0
FUNCTIONS, POLYNOMIALS = (7, 5), (9, 7)
NEURONS = 20
#: Legendre orders, their components, descriptors of an atom.
ORDER, COMPONENTS = 4, 24
DESCRIPTORS = FUNCTIONS[0] + FUNCTIONS[1] * (ORDER + 1)

#: Squares of the components of one order sum up to an invariant with these weights (GPUMD's C3B; 2 C3B for m > 0).
_C3B = (
    (0.238732414637843, 0.119366207318922),
    (0.099471839432435, 0.596831036594608, 0.149207759148652),
    (0.139260575205408, 0.104445431404056, 1.044454314040563, 0.174075719006761),
    (0.011190581936149, 0.223811638722978, 0.111905819361489, 1.566681471060845, 0.195835183882606),
)
WEIGHTS = np.concatenate([[row[0], *np.repeat(2.0 * np.array(row[1:]), 2)] for row in _C3B])
#: Of the invariant of three components of order 2 (GPUMD's C4B).
CUBIC = np.array([-0.007499480826664, -0.134990654879954, 0.067495327439977, 0.404971964639861, -0.809943929279723])
_OF = np.repeat(np.arange(ORDER), 2 * np.arange(1, ORDER + 1) + 1)


@compiled
def _basis(r, reach, value, slope):
    """Chebyshev polynomials that a cosine takes to zero, and their slopes."""
    cut, fall = 0.5 * math.cos(math.pi * r / reach) + 0.5, -0.5 * math.pi / reach * math.sin(math.pi * r / reach)
    x, rate = 2.0 * (r / reach - 1.0) ** 2 - 1.0, 4.0 * (r / reach - 1.0) / reach
    value[0], slope[0] = cut, fall
    before, now, before_s, now_s = 1.0, x, 0.0, 1.0
    for k in range(1, len(value)):
        value[k] = 0.5 * (now + 1.0) * cut
        slope[k] = 0.5 * now_s * rate * cut + 0.5 * (now + 1.0) * fall
        before, now, before_s, now_s = now, 2.0 * x * now - before, now_s, 2.0 * now + 2.0 * x * now_s - before_s


@compiled
def _harmonics(x, y, z, v):
    """Components of orders 1 to 4 of a unit vector, without norms."""
    x2, y2, z2 = x * x, y * y, z * z
    c2, s2 = x2 - y2, 2.0 * x * y
    c3, s3 = x * c2 - y * s2, x * s2 + y * c2
    v[0], v[1], v[2] = z, x, y
    v[3], v[4], v[5], v[6], v[7] = 3.0 * z2 - 1.0, z * x, z * y, c2, s2
    q = 5.0 * z2 - 1.0
    v[8], v[9], v[10], v[11], v[12], v[13], v[14] = (5.0 * z2 - 3.0) * z, q * x, q * y, z * c2, z * s2, c3, s3
    q, w = (7.0 * z2 - 3.0) * z, 7.0 * z2 - 1.0
    v[15], v[16], v[17], v[18], v[19] = (35.0 * z2 - 30.0) * z2 + 3.0, q * x, q * y, w * c2, w * s2
    v[20], v[21], v[22], v[23] = z * c3, z * s3, x * c3 - y * s3, x * s3 + y * c3


@compiled
def _pull(x, y, z, a):
    """Gradient of the sum of components times ``a``, as polynomials of x, y, z."""
    x2, y2, z2 = x * x, y * y, z * z
    c2, s2 = x2 - y2, 2.0 * x * y
    c3, s3 = x * c2 - y * s2, x * s2 + y * c2
    q3, q4, w4 = 5.0 * z2 - 1.0, (7.0 * z2 - 3.0) * z, 7.0 * z2 - 1.0
    # of (x + iy)^m: m (x + iy)^(m - 1)
    m1r, m1i = a[1] + z * a[4] + q3 * a[9] + q4 * a[16], a[2] + z * a[5] + q3 * a[10] + q4 * a[17]
    m2r, m2i = a[6] + z * a[11] + w4 * a[18], a[7] + z * a[12] + w4 * a[19]
    m3r, m3i = a[13] + z * a[20], a[14] + z * a[21]
    gx = m1r + 2.0 * (x * m2r + y * m2i) + 3.0 * (c2 * m3r + s2 * m3i) + 4.0 * (c3 * a[22] + s3 * a[23])
    gy = m1i + 2.0 * (x * m2i - y * m2r) + 3.0 * (c2 * m3i - s2 * m3r) + 4.0 * (c3 * a[23] - s3 * a[22])
    gz = a[0] + 6.0 * z * a[3] + x * a[4] + y * a[5]
    gz += (15.0 * z2 - 3.0) * a[8] + 10.0 * z * (x * a[9] + y * a[10]) + c2 * a[11] + s2 * a[12]
    gz += (140.0 * z2 - 60.0) * z * a[15] + (21.0 * z2 - 3.0) * (x * a[16] + y * a[17])
    gz += 14.0 * z * (c2 * a[18] + s2 * a[19]) + c3 * a[20] + s3 * a[21]
    return gx, gy, gz


@compiled
def _invariants(s, q):
    """Descriptors of angles from the sums over neighbours of the components."""
    count = s.shape[0]
    for n in range(count):
        for c in range(COMPONENTS):
            q[FUNCTIONS[0] + _OF[c] * count + n] += WEIGHTS[c] * s[n, c] * s[n, c]
        a, b, c, d, e = s[n, 3], s[n, 4], s[n, 5], s[n, 6], s[n, 7]
        q[FUNCTIONS[0] + ORDER * count + n] = (
            CUBIC[0] * a**3
            + CUBIC[1] * a * (b * b + c * c)
            + CUBIC[2] * a * (d * d + e * e)
            + CUBIC[3] * d * (c * c - b * b)
            + CUBIC[4] * b * c * e
        )


@compiled
def _weights_of_sums(s, slope, weights):
    """Derivatives with respect to the sums, from those with respect to the descriptors."""
    count = s.shape[0]
    for n in range(count):
        for c in range(COMPONENTS):
            weights[n, c] = 2.0 * WEIGHTS[c] * s[n, c] * slope[FUNCTIONS[0] + _OF[c] * count + n]
        a, b, c, d, e = s[n, 3], s[n, 4], s[n, 5], s[n, 6], s[n, 7]
        f = slope[FUNCTIONS[0] + ORDER * count + n]
        weights[n, 3] += f * (3.0 * CUBIC[0] * a * a + CUBIC[1] * (b * b + c * c) + CUBIC[2] * (d * d + e * e))
        weights[n, 4] += f * (2.0 * CUBIC[1] * a * b - 2.0 * CUBIC[3] * d * b + CUBIC[4] * c * e)
        weights[n, 5] += f * (2.0 * CUBIC[1] * a * c + 2.0 * CUBIC[3] * d * c + CUBIC[4] * b * e)
        weights[n, 6] += f * (2.0 * CUBIC[2] * a * d + CUBIC[3] * (c * c - b * b))
        weights[n, 7] += f * (2.0 * CUBIC[2] * a * e + CUBIC[4] * b * c)


@compiled
def _network(a, q, network, slopes, slope):
    """Energy of an atom of kind ``a`` from its descriptors, and ``slope``, its derivative with respect to them.

    Derivatives with respect to the parameters are added to ``slopes`` where these are not empty.
    """
    scale, w0, b0, w1 = network
    g_w0, g_b0, g_w1 = slopes
    energy, learns = 0.0, len(g_w1) > 0
    slope[:] = 0.0
    for h in range(NEURONS):
        inner = -b0[a, h]
        for d in range(DESCRIPTORS):
            inner += w0[a, h, d] * scale[d] * q[d]
        out = math.tanh(inner)
        rest = w1[a, h] * (1.0 - out * out)
        energy += w1[a, h] * out
        for d in range(DESCRIPTORS):
            slope[d] += rest * w0[a, h, d] * scale[d]
        if learns:
            g_w1[a, h] += out
            g_b0[a, h] -= rest
            for d in range(DESCRIPTORS):
                g_w0[a, h, d] += rest * scale[d] * q[d]
    return energy


@compiled
def _met(around, kinds_there, c3, sums, s, made):
    """Sums over the neighbours of an atom: of radial polynomials by kind, and of components times functions.

    What is needed again is kept in ``made``: unit vectors and distances, slopes of the polynomials of pairs,
    polynomials of angles and their slopes, components.
    """
    unit, radial_s, near, near_s, shape = made
    value = np.empty(POLYNOMIALS[0])
    sums[:], s[:] = 0.0, 0.0
    for m in range(len(kinds_there)):
        x, y, z = around[m, 0], around[m, 1], around[m, 2]
        r = math.sqrt(x * x + y * y + z * z)
        unit[m, 0], unit[m, 1], unit[m, 2], unit[m, 3] = x / r, y / r, z / r, r
        if r >= PAIRS:
            continue
        b = kinds_there[m]
        _basis(r, PAIRS, value, radial_s[m])
        for k in range(POLYNOMIALS[0]):
            sums[b, k] += value[k]
        if r < ANGLES:
            _basis(r, ANGLES, near[m], near_s[m])
            _harmonics(unit[m, 0], unit[m, 1], unit[m, 2], shape[m])
            for n in range(FUNCTIONS[1]):
                size = 0.0
                for k in range(POLYNOMIALS[1]):
                    size += c3[b, n, k] * near[m, k]
                for c in range(COMPONENTS):
                    s[n, c] += size * shape[m, c]


@compiled
def _learned(kinds_there, weights, g_c3, made):
    """Derivatives with respect to the coefficients of angles."""
    unit, _, near, _, shape = made
    for m in range(len(kinds_there)):
        if unit[m, 3] < ANGLES:
            for n in range(FUNCTIONS[1]):
                part = 0.0
                for c in range(COMPONENTS):
                    part += weights[n, c] * shape[m, c]
                for k in range(POLYNOMIALS[1]):
                    g_c3[kinds_there[m], n, k] += part * near[m, k]


@compiled
def _pulled(kinds_there, weights, c3, pull2, made, pulls):
    """Derivatives with respect to the vectors to the neighbours."""
    unit, radial_s, near, near_s, shape = made
    back = np.empty(COMPONENTS)
    for m in range(len(kinds_there)):
        pulls[m] = 0.0
        ux, uy, uz, r = unit[m, 0], unit[m, 1], unit[m, 2], unit[m, 3]
        if r >= PAIRS:
            continue
        b, along = kinds_there[m], 0.0
        for k in range(POLYNOMIALS[0]):
            along += pull2[b, k] * radial_s[m, k]
        if r < ANGLES:
            back[:] = 0.0
            for n in range(FUNCTIONS[1]):
                part, size, rate = 0.0, 0.0, 0.0
                for k in range(POLYNOMIALS[1]):
                    size += c3[b, n, k] * near[m, k]
                    rate += c3[b, n, k] * near_s[m, k]
                for c in range(COMPONENTS):
                    part += weights[n, c] * shape[m, c]
                    back[c] += size * weights[n, c]
                along += part * rate
            gx, gy, gz = _pull(ux, uy, uz, back)
            inward = gx * ux + gy * uy + gz * uz
            pulls[m, 0], pulls[m, 1], pulls[m, 2] = gx / r, gy / r, gz / r
            along -= inward / r
        pulls[m, 0] += along * ux
        pulls[m, 1] += along * uy
        pulls[m, 2] += along * uz


@compiled
def room(many, most):
    """Arrays that the functions below write into, for atoms with up to ``most`` neighbours of ``many`` kinds."""
    made = (
        np.empty((most, 4)),
        np.empty((most, POLYNOMIALS[0])),
        np.empty((most, POLYNOMIALS[1])),
        np.empty((most, POLYNOMIALS[1])),
        np.empty((most, COMPONENTS)),
    )
    sums, pull2 = np.empty((many, POLYNOMIALS[0])), np.empty((many, POLYNOMIALS[0]))
    s, weights = np.empty((FUNCTIONS[1], COMPONENTS)), np.empty((FUNCTIONS[1], COMPONENTS))
    return made, sums, s, weights, pull2, np.empty((most, 3)), np.empty(DESCRIPTORS), np.empty(DESCRIPTORS)


@compiled
def evaluate_atom(a, neighbours, scale, parts, slopes, within):
    """Energy of an atom of kind ``a`` from the vectors to its neighbours and their kinds; ``slopes`` as in `_network`.

    Descriptors, their slopes and what `pull` needs stay within ``within``, which `room` makes.
    """
    around, kinds_there = neighbours
    w0, b0, w1, c2, c3 = parts
    made, sums, s, weights, _, _, q, slope = within
    _met(around, kinds_there, c3[a], sums, s, made)
    q[:] = 0.0
    for b in range(len(sums)):
        for n in range(FUNCTIONS[0]):
            for k in range(POLYNOMIALS[0]):
                q[n] += c2[a, b, n, k] * sums[b, k]
    _invariants(s, q)
    energy = _network(a, q, (scale, w0, b0, w1), slopes, slope)
    _weights_of_sums(s, slope, weights)
    return energy


@compiled
def pull(a, kinds_there, parts, within):
    """Derivatives of the energy of `evaluate_atom` with respect to the vectors, (neighbours, 3), within ``within``."""
    made, _, _, weights, pull2, pulls, _, slope = within
    c2, c3 = parts[3], parts[4]
    pull2[:] = 0.0
    for b in range(len(pull2)):
        for n in range(FUNCTIONS[0]):
            for k in range(POLYNOMIALS[0]):
                pull2[b, k] += slope[n] * c2[a, b, n, k]
    _pulled(kinds_there, weights, c3[a], pull2, made, pulls)
    return pulls


@compiled
def push(i, there, around, pulls, forces, strain):
    """Add forces and the derivative with respect to the strain that atom ``i`` and its neighbours have of ``pulls``."""
    for m in range(len(there)):
        for c in range(3):
            forces[i, c] += pulls[m, c]
            forces[there[m], c] -= pulls[m, c]
            for d in range(3):
                strain[c, d] += around[m, c] * pulls[m, d]


@compiled
def evaluate(neighbours, scale, parts, slopes, motion, q_all):
    """Energy (eV) of a frame, without the constant.

    Parameters
    ----------
    neighbours : tuple
        Kinds of atoms; where the neighbours of each begin; which these are; vectors to them, Å.
    scale : array
        Of descriptors.
    parts, slopes : tuple
        Parameters, and arrays that the derivatives with respect to them are added to.
    motion : tuple
        Forces (eV/Å) and the derivative with respect to the strain (eV), added where the first is not empty.
    q_all : array
        Descriptors of all atoms, made where that is not empty.
    """
    kinds, first, others, vectors = neighbours
    g_w0, g_b0, g_w1, g_c2, g_c3 = slopes
    forces, strain = motion
    within = room(g_c2.shape[0], np.max(first[1:] - first[:-1]))
    made, sums, _, weights, _, _, q, slope = within
    total = 0.0
    for i in range(len(kinds)):
        a, there = kinds[i], others[first[i] : first[i + 1]]
        around, kinds_there = vectors[first[i] : first[i + 1]], kinds[there]
        total += evaluate_atom(a, (around, kinds_there), scale, parts, (g_w0, g_b0, g_w1), within)
        if len(q_all):
            q_all[i] = q
        for b in range(len(sums)):
            for n in range(FUNCTIONS[0]):
                for k in range(POLYNOMIALS[0]):
                    g_c2[a, b, n, k] += slope[n] * sums[b, k]
        _learned(kinds_there, weights, g_c3[a], made)
        if len(forces):
            push(i, there, around, pull(a, kinds_there, parts, within), forces, strain)
    return total
