//! Three-vectors and the few functions the tracer needs.
//!
//! Everything here is made of `+ - * /` and `sqrt`, which IEEE 754 rounds exactly and WebAssembly copies bit for bit.
//! No function of a platform's math library is called, so a picture has the same bytes on every machine.

use core::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A point, a direction or a colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vec3 {
    /// First component; red.
    pub x: f64,
    /// Second component (up); green.
    pub y: f64,
    /// Third component; blue.
    pub z: f64,
}

/// Short constructor of a [`Vec3`].
pub const fn v(x: f64, y: f64, z: f64) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    /// All zero: black, or the origin.
    pub const ZERO: Vec3 = v(0.0, 0.0, 0.0);
    /// All one: white.
    pub const ONE: Vec3 = v(1.0, 1.0, 1.0);

    pub fn dot(self, o: Vec3) -> f64 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    pub fn cross(self, o: Vec3) -> Vec3 {
        v(self.y * o.z - self.z * o.y, self.z * o.x - self.x * o.z, self.x * o.y - self.y * o.x)
    }

    pub fn length(self) -> f64 {
        self.dot(self).sqrt()
    }

    pub fn unit(self) -> Vec3 {
        self / self.length()
    }

    /// Component-wise product: a colour filtered by another.
    pub fn filter(self, o: Vec3) -> Vec3 {
        v(self.x * o.x, self.y * o.y, self.z * o.z)
    }

    /// Component-wise minimum.
    pub fn lower(self, o: Vec3) -> Vec3 {
        v(self.x.min(o.x), self.y.min(o.y), self.z.min(o.z))
    }

    /// Component-wise maximum.
    pub fn upper(self, o: Vec3) -> Vec3 {
        v(self.x.max(o.x), self.y.max(o.y), self.z.max(o.z))
    }

    /// The largest component.
    pub fn peak(self) -> f64 {
        self.x.max(self.y).max(self.z)
    }

    /// Brightness of a linear colour (Rec. 709 weights).
    pub fn luminance(self) -> f64 {
        0.2126 * self.x + 0.7152 * self.y + 0.0722 * self.z
    }

    /// The mirror image of this direction at a surface with normal `n`.
    pub fn reflect(self, n: Vec3) -> Vec3 {
        self - n * (2.0 * self.dot(n))
    }

    /// Two unit vectors that make a right-handed frame with this unit vector.
    pub fn frame(self) -> (Vec3, Vec3) {
        let helper = if self.y.abs() > 0.9 { v(1.0, 0.0, 0.0) } else { v(0.0, 1.0, 0.0) };
        let side = helper.cross(self).unit();
        (side, self.cross(side))
    }
}

/// `a` at 0, `b` at 1.
pub fn mix(a: Vec3, b: Vec3, t: f64) -> Vec3 {
    a * (1.0 - t) + b * t
}

/// A smooth step from 0 (at or below `low`) to 1 (at or above `high`).
pub fn smooth(low: f64, high: f64, x: f64) -> f64 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Cosine and sine of `turn` full turns, `0 <= turn < 1`, to about 1e-9.
pub fn cos_sin(turn: f64) -> (f64, f64) {
    let quarters = turn * 4.0;
    let quadrant = quarters as u32;
    // An angle within an eighth of a turn of the middle of its quadrant keeps both series short.
    let a = (quarters - f64::from(quadrant) - 0.5) * core::f64::consts::FRAC_PI_2;
    let q = a * a;
    let s = a * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0))));
    let c = 1.0 - q / 2.0 * (1.0 - q / 12.0 * (1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0))));
    let h = core::f64::consts::FRAC_1_SQRT_2;
    let (c, s) = ((c - s) * h, (c + s) * h);
    match quadrant & 3 {
        0 => (c, s),
        1 => (-s, c),
        2 => (-c, -s),
        _ => (s, -c),
    }
}

impl Add for Vec3 {
    type Output = Vec3;
    fn add(self, o: Vec3) -> Vec3 {
        v(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl AddAssign for Vec3 {
    fn add_assign(&mut self, o: Vec3) {
        *self = *self + o;
    }
}

impl Sub for Vec3 {
    type Output = Vec3;
    fn sub(self, o: Vec3) -> Vec3 {
        v(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Neg for Vec3 {
    type Output = Vec3;
    fn neg(self) -> Vec3 {
        v(-self.x, -self.y, -self.z)
    }
}

impl Mul<f64> for Vec3 {
    type Output = Vec3;
    fn mul(self, k: f64) -> Vec3 {
        v(self.x * k, self.y * k, self.z * k)
    }
}

impl Div<f64> for Vec3 {
    type Output = Vec3;
    fn div(self, k: f64) -> Vec3 {
        self * (1.0 / k)
    }
}

/// A small random generator (PCG-XSH-RR), one per sample, so that no pixel depends on another.
pub struct Rng(u64);

impl Rng {
    /// A generator for one sample, the same whatever tile the pixel is in.
    pub fn new(seed: u64, pixel: u64, sample: u64) -> Rng {
        let mut rng = Rng(scramble(seed ^ scramble(pixel ^ scramble(sample))));
        rng.bits();
        rng
    }

    fn bits(&mut self) -> u32 {
        let old = self.0;
        self.0 = old.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let shifted = (((old >> 18) ^ old) >> 27) as u32;
        shifted.rotate_right((old >> 59) as u32)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.bits()) * (1.0 / 4294967296.0)
    }
}

/// The finaliser of SplitMix64: a bijection that mixes all bits.
pub fn scramble(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e3779b97f4a7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_and_sine_are_close_to_the_real_ones() {
        for i in 0..1000 {
            let turn = f64::from(i) / 1000.0;
            let (c, s) = cos_sin(turn);
            let a = turn * core::f64::consts::TAU;
            assert!((c - a.cos()).abs() < 1e-7 && (s - a.sin()).abs() < 1e-7, "{turn}: {c} {s}");
        }
    }

    #[test]
    fn a_frame_is_orthonormal() {
        for n in [v(0.0, 1.0, 0.0), v(1.0, 2.0, 3.0).unit(), v(0.0, 0.0, -1.0)] {
            let (a, b) = n.frame();
            assert!(a.dot(b).abs() < 1e-12 && a.dot(n).abs() < 1e-12 && b.dot(n).abs() < 1e-12);
            assert!((a.length() - 1.0).abs() < 1e-12 && (b.length() - 1.0).abs() < 1e-12);
        }
    }
}
