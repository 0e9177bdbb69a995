"""Solid harmonics of one direction, compiled."""

from rhotem.core.compiled import compiled

#: Largest angular momentum that is written out.
LMAX = 4


@compiled
def solid(x, y, z, lmax, out):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """r^l Y_lm, order l² + l + m (docs/conventions.md)."""
    out[0] = 0.28209479177387814
    if lmax > 0:
        out[1] = 0.4886025119029199 * y
        out[2] = 0.4886025119029199 * z
        out[3] = 0.4886025119029199 * x
    xx, yy, zz = x * x, y * y, z * z
    r2 = xx + yy + zz
    if lmax > 1:
        out[4] = 1.0925484305920792 * x * y
        out[5] = 1.0925484305920792 * y * z
        out[6] = 0.31539156525252005 * (3.0 * zz - r2)
        out[7] = 1.0925484305920792 * x * z
        out[8] = 0.5462742152960396 * (xx - yy)
    if lmax > 2:
        out[9] = 0.5900435899266435 * y * (3.0 * xx - yy)
        out[10] = 2.890611442640554 * x * y * z
        out[11] = 0.4570457994644658 * y * (5.0 * zz - r2)
        out[12] = 0.3731763325901154 * z * (5.0 * zz - 3.0 * r2)
        out[13] = 0.4570457994644658 * x * (5.0 * zz - r2)
        out[14] = 1.445305721320277 * z * (xx - yy)
        out[15] = 0.5900435899266435 * x * (xx - 3.0 * yy)
    if lmax > 3:
        out[16] = 2.5033429417967046 * x * y * (xx - yy)
        out[17] = 1.7701307697799304 * y * z * (3.0 * xx - yy)
        out[18] = 0.9461746957575601 * x * y * (7.0 * zz - r2)
        out[19] = 0.6690465435572892 * y * z * (7.0 * zz - 3.0 * r2)
        out[20] = 0.10578554691520431 * (35.0 * zz * zz - 30.0 * zz * r2 + 3.0 * r2 * r2)
        out[21] = 0.6690465435572892 * x * z * (7.0 * zz - 3.0 * r2)
        out[22] = 0.47308734787878004 * (xx - yy) * (7.0 * zz - r2)
        out[23] = 1.7701307697799304 * x * z * (xx - 3.0 * yy)
        out[24] = 0.6258357354491761 * (xx * xx - 6.0 * xx * yy + yy * yy)
