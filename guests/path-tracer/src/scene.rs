//! The scene: a gantry crane on a quay at sunset, with containers, and what is needed to hit it with a ray.

use crate::math::{mix, smooth, v, Vec3};

/// A half-line; `dir` has length one.
#[derive(Clone, Copy)]
pub struct Ray {
    pub from: Vec3,
    pub dir: Vec3,
}

impl Ray {
    pub fn at(&self, t: f64) -> Vec3 {
        self.from + self.dir * t
    }
}

/// How a surface answers light.
#[derive(Clone, Copy)]
pub enum Material {
    /// Paint: a diffuse base under a clear coat; `gloss` is the mirror share at right angles, `rough` blurs it.
    Paint { base: Vec3, gloss: f64, rough: f64 },
    /// A coloured mirror.
    Metal { tint: Vec3, rough: f64 },
    /// Clear glass that keeps `tint` of the light at each surface.
    Glass { tint: Vec3 },
    /// A lamp.
    Lamp { light: Vec3 },
    /// The quay: paint whose base is a pattern of slabs.
    Quay,
}

/// Where a ray meets a surface.
pub struct Hit {
    pub t: f64,
    /// The outward unit normal.
    pub normal: Vec3,
    pub material: Material,
}

#[derive(Clone, Copy)]
enum Shape {
    Sphere {
        centre: Vec3,
        radius: f64,
    },
    /// A box with its own axes: `axes[k]` is a unit vector, `half[k]` half the length along it.
    Block {
        centre: Vec3,
        axes: [Vec3; 3],
        half: [f64; 3],
    },
}

#[derive(Clone, Copy)]
struct Solid {
    shape: Shape,
    material: Material,
}

/// Rays that start closer than this to a surface do not meet it again.
const NEAR: f64 = 1e-5;

impl Solid {
    fn bounds(&self) -> (Vec3, Vec3) {
        match self.shape {
            Shape::Sphere { centre, radius } => (centre - Vec3::ONE * radius, centre + Vec3::ONE * radius),
            Shape::Block { centre, axes, half } => {
                let reach = |pick: fn(Vec3) -> f64| (0..3).map(|k| pick(axes[k]).abs() * half[k]).sum::<f64>();
                let r = v(reach(|a| a.x), reach(|a| a.y), reach(|a| a.z));
                (centre - r, centre + r)
            }
        }
    }

    fn hit(&self, ray: &Ray, far: f64) -> Option<(f64, Vec3)> {
        match self.shape {
            Shape::Sphere { centre, radius } => {
                let to = centre - ray.from;
                let along = to.dot(ray.dir);
                let gap = (to - ray.dir * along).dot(to - ray.dir * along);
                let square = radius * radius - gap;
                if square < 0.0 {
                    return None;
                }
                let half = square.sqrt();
                let t = if along - half > NEAR { along - half } else { along + half };
                if t <= NEAR || t >= far {
                    return None;
                }
                Some((t, (ray.at(t) - centre) / radius))
            }
            Shape::Block { centre, axes, half } => {
                let to = centre - ray.from;
                let (mut enter, mut leave) = (f64::NEG_INFINITY, f64::INFINITY);
                let (mut first, mut last) = (Vec3::ZERO, Vec3::ZERO);
                for k in 0..3 {
                    let e = axes[k].dot(to);
                    let f = axes[k].dot(ray.dir);
                    if f.abs() > 1e-12 {
                        let inv = 1.0 / f;
                        let sign = if f > 0.0 { 1.0 } else { -1.0 };
                        let t0 = (e - half[k] * sign) * inv;
                        let t1 = (e + half[k] * sign) * inv;
                        if t0 > enter {
                            enter = t0;
                            first = axes[k] * -sign;
                        }
                        if t1 < leave {
                            leave = t1;
                            last = axes[k] * sign;
                        }
                        if enter > leave || leave <= NEAR {
                            return None;
                        }
                    } else if e.abs() > half[k] {
                        return None;
                    }
                }
                let (t, normal) = if enter > NEAR { (enter, first) } else { (leave, last) };
                if t <= NEAR || t >= far {
                    return None;
                }
                Some((t, normal))
            }
        }
    }
}

/// A node of the bounding hierarchy, in depth-first order: `skip` is the node after this subtree.
struct Node {
    low: Vec3,
    high: Vec3,
    skip: usize,
    /// The solids of a leaf, as a range of `solids`; empty for an inner node.
    first: usize,
    count: usize,
}

/// Everything that can be seen.
pub struct Scene {
    solids: Vec<Solid>,
    nodes: Vec<Node>,
    /// Direction to the middle of the sun.
    pub sun: Vec3,
    /// Radiance that the sun sends to a surface that faces it.
    pub sunlight: Vec3,
}

impl Scene {
    /// The crane.
    pub fn crane() -> Scene {
        let mut solids = Vec::new();
        crane(&mut solids);
        yard(&mut solids);
        let mut nodes = Vec::new();
        let count = solids.len();
        grow(&mut solids, 0, count, &mut nodes);
        Scene { solids, nodes, sun: v(-0.62, 0.42, 0.52).unit(), sunlight: v(4.3, 3.15, 2.1) }
    }

    /// The nearest surface in front of the ray.
    pub fn hit(&self, ray: &Ray) -> Option<Hit> {
        let mut best: Option<Hit> = None;
        let mut far = f64::INFINITY;
        if ray.dir.y < -1e-9 {
            let t = -ray.from.y / ray.dir.y;
            if t > NEAR && t < 400.0 {
                far = t;
                best = Some(Hit { t, normal: v(0.0, 1.0, 0.0), material: Material::Quay });
            }
        }
        self.walk(ray, far, |t, normal, material| {
            best = Some(Hit { t, normal, material });
            Some(t)
        });
        best
    }

    /// The share of light that passes along the ray to infinity. Glass and lamps tint instead of blocking.
    pub fn passes(&self, ray: &Ray) -> Vec3 {
        let mut light = Vec3::ONE;
        self.walk(ray, f64::INFINITY, |_, normal, material| match material {
            Material::Glass { tint } => {
                let facing = normal.dot(ray.dir).abs();
                light = light.filter(tint) * (0.25 + 0.75 * facing);
                Some(f64::INFINITY)
            }
            Material::Lamp { .. } => Some(f64::INFINITY),
            _ => {
                light = Vec3::ZERO;
                None
            }
        });
        light
    }

    /// Calls `found` for solids nearer than `far`; it gives the new limit, or none to stop.
    fn walk(&self, ray: &Ray, mut far: f64, mut found: impl FnMut(f64, Vec3, Material) -> Option<f64>) {
        let inv = v(1.0 / ray.dir.x, 1.0 / ray.dir.y, 1.0 / ray.dir.z);
        let mut at = 0;
        while at < self.nodes.len() {
            let node = &self.nodes[at];
            let a = (node.low - ray.from).filter(inv);
            let b = (node.high - ray.from).filter(inv);
            let enter = pick_min(a.x, b.x).max(pick_min(a.y, b.y)).max(pick_min(a.z, b.z));
            let leave = pick_max(a.x, b.x).min(pick_max(a.y, b.y)).min(pick_max(a.z, b.z));
            if enter > leave || leave < 0.0 || enter > far {
                at = node.skip;
                continue;
            }
            for solid in &self.solids[node.first..node.first + node.count] {
                if let Some((t, normal)) = solid.hit(ray, far) {
                    match found(t, normal, solid.material) {
                        Some(limit) => far = limit,
                        None => return,
                    }
                }
            }
            at += 1;
        }
    }

    /// Light from the sky; `direct` adds the disc of the sun, for rays that did not sample it.
    pub fn sky(&self, dir: Vec3, direct: bool) -> Vec3 {
        let up = dir.y.max(0.0);
        let to_sun = dir.dot(self.sun);
        let zenith = v(0.14, 0.27, 0.62);
        let middle = v(0.58, 0.66, 0.88);
        let horizon = v(1.25, 0.78, 0.50);
        let mut light = mix(mix(horizon, middle, smooth(0.0, 0.22, up)), zenith, smooth(0.08, 0.85, up));
        let glow = to_sun.max(0.0);
        let glow4 = glow * glow * glow * glow;
        let glow32 = glow4 * glow4 * glow4 * glow4 * glow4 * glow4 * glow4 * glow4;
        light += v(0.55, 0.33, 0.16) * glow4 * (1.0 - 0.6 * up) + v(1.6, 1.05, 0.6) * glow32;
        if dir.y > 0.01 {
            light = mix(light, v(1.25, 0.95, 0.82), self.clouds(dir));
        }
        if direct && to_sun > 0.9994 {
            light += v(38.0, 29.0, 19.0);
        }
        light
    }

    /// Thin clouds: the cover in this direction, 0 to 1.
    fn clouds(&self, dir: Vec3) -> f64 {
        let scale = 1.0 / (dir.y + 0.12);
        let (mut x, mut z) = (dir.x * scale * 0.9 + 31.7, dir.z * scale * 2.1 + 11.3);
        let (mut sum, mut weight) = (0.0, 0.5);
        for _ in 0..4 {
            sum += weight * noise(x, z);
            let turned = (1.6 * x + 1.2 * z, 1.6 * z - 1.2 * x);
            x = turned.0;
            z = turned.1;
            weight *= 0.5;
        }
        smooth(0.46, 0.86, sum) * 0.75 * smooth(0.01, 0.12, dir.y)
    }

    /// The colour of the quay at a point: slabs with dark joints and worn patches.
    pub fn slab(at: Vec3) -> Vec3 {
        let (sx, sz) = (at.x / 1.6, at.z / 1.6);
        let (fx, fz) = (sx - sx.floor(), sz - sz.floor());
        let edge = fx.min(1.0 - fx).min(fz).min(1.0 - fz);
        let shade = 0.30 + 0.05 * lattice(sx.floor() as i64, sz.floor() as i64);
        let worn = 0.75 + 0.25 * noise(at.x * 0.7 + 50.0, at.z * 0.7 + 50.0);
        let joint = smooth(0.006, 0.016, edge) * 0.6 + 0.4;
        v(1.0, 0.97, 0.93) * (shade * worn * joint)
    }
}

// `f64::min` and `max` of a NaN (0 times infinity, a ray in the plane of a face) give the other side: a miss at worst.
fn pick_min(a: f64, b: f64) -> f64 {
    if a < b {
        a
    } else {
        b
    }
}

fn pick_max(a: f64, b: f64) -> f64 {
    if a > b {
        a
    } else {
        b
    }
}

/// A random number in 0 to 1 for each cell of a grid.
fn lattice(x: i64, z: i64) -> f64 {
    let bits = crate::math::scramble((x as u64) ^ (z as u64).rotate_left(32));
    f64::from((bits >> 40) as u32) * (1.0 / 16777216.0)
}

/// Value noise, 0 to 1.
fn noise(x: f64, z: f64) -> f64 {
    let (ix, iz) = (x.floor(), z.floor());
    let (fx, fz) = (smooth(0.0, 1.0, x - ix), smooth(0.0, 1.0, z - iz));
    let (ix, iz) = (ix as i64, iz as i64);
    let near = lattice(ix, iz) * (1.0 - fx) + lattice(ix + 1, iz) * fx;
    let far = lattice(ix, iz + 1) * (1.0 - fx) + lattice(ix + 1, iz + 1) * fx;
    near * (1.0 - fz) + far * fz
}

/// Builds the hierarchy over `solids[from..to]` by splitting at the median of the widest axis.
fn grow(solids: &mut [Solid], from: usize, to: usize, nodes: &mut Vec<Node>) {
    let centre = |s: &Solid| {
        let (low, high) = s.bounds();
        low + high
    };
    let mut low = Vec3::ONE * f64::INFINITY;
    let mut high = -low;
    let (mut left, mut right) = (low, high);
    for solid in &solids[from..to] {
        let (l, h) = solid.bounds();
        low = low.lower(l);
        high = high.upper(h);
        left = left.lower(centre(solid));
        right = right.upper(centre(solid));
    }
    let pad = Vec3::ONE * 1e-6;
    let index = nodes.len();
    let leaf = to - from <= 2;
    let count = if leaf { to - from } else { 0 };
    nodes.push(Node { low: low - pad, high: high + pad, skip: 0, first: from, count });
    if !leaf {
        let spread = right - left;
        let pick: fn(Vec3) -> f64 = if spread.x >= spread.y && spread.x >= spread.z {
            |p| p.x
        } else if spread.y >= spread.z {
            |p| p.y
        } else {
            |p| p.z
        };
        // A stable sort, so that the order does not depend on the library's choice of algorithm.
        solids[from..to].sort_by(|a, b| pick(centre(a)).total_cmp(&pick(centre(b))));
        let middle = (from + to) / 2;
        grow(solids, from, middle, nodes);
        grow(solids, middle, to, nodes);
    }
    nodes[index].skip = nodes.len();
}

const fn paint(r: f64, g: f64, b: f64) -> Material {
    Material::Paint { base: v(r, g, b), gloss: 0.05, rough: 0.04 }
}

const STEEL: Material = Material::Metal { tint: v(0.62, 0.64, 0.67), rough: 0.18 };
const CHROME: Material = Material::Metal { tint: v(0.93, 0.93, 0.95), rough: 0.01 };
const GOLD: Material = Material::Metal { tint: v(1.0, 0.76, 0.33), rough: 0.08 };
const YELLOW: Material = paint(0.88, 0.42, 0.03);
const DARK: Material = Material::Paint { base: v(0.035, 0.04, 0.05), gloss: 0.05, rough: 0.15 };

fn sphere(out: &mut Vec<Solid>, centre: Vec3, radius: f64, material: Material) {
    out.push(Solid { shape: Shape::Sphere { centre, radius }, material });
}

/// A block along the world's axes, turned about the vertical so that its x axis points to `(c, s)`.
fn block(out: &mut Vec<Solid>, centre: Vec3, half: Vec3, (c, s): (f64, f64), material: Material) {
    let along = v(c, 0.0, s).unit();
    let axes = [along, v(0.0, 1.0, 0.0), along.cross(v(0.0, 1.0, 0.0))];
    out.push(Solid { shape: Shape::Block { centre, axes, half: [half.x, half.y, half.z] }, material });
}

/// A square bar between two points.
fn bar(out: &mut Vec<Solid>, a: Vec3, b: Vec3, thick: f64, material: Material) {
    let along = (b - a).unit();
    let (side, up) = along.frame();
    let half = [(b - a).length() / 2.0, thick / 2.0, thick / 2.0];
    out.push(Solid { shape: Shape::Block { centre: (a + b) * 0.5, axes: [along, side, up], half }, material });
}

const STRAIGHT: (f64, f64) = (1.0, 0.0);

fn crane(out: &mut Vec<Solid>) {
    let top = 4.9;
    for side in [-3.3, 3.3] {
        // Each portal: two raking legs, a sill on wheels, a tie half way up, and diagonals.
        for z in [-1.0, 1.0] {
            bar(out, v(side, 0.42, z * 1.9), v(side, top, z * 0.62), 0.24, YELLOW);
            block(out, v(side, 0.20, z * 1.9), v(0.30, 0.10, 0.16), STRAIGHT, DARK);
            for dx in [-0.2, 0.2] {
                sphere(out, v(side + dx, 0.15, z * 1.9), 0.15, STEEL);
            }
            bar(out, v(side, 0.5, z * 1.85), v(side, 2.55, z * -1.28), 0.09, YELLOW);
        }
        bar(out, v(side, 0.42, -2.0), v(side, 0.42, 2.0), 0.22, YELLOW);
        bar(out, v(side, 2.55, -1.30), v(side, 2.55, 1.30), 0.16, YELLOW);
        bar(out, v(side, top - 0.06, -0.75), v(side, top - 0.06, 0.75), 0.20, YELLOW);
    }
    // Two lattice girders, with a walkway tie at each bay.
    for z in [-0.55, 0.55] {
        bar(out, v(-4.6, top + 0.1, z), v(4.6, top + 0.1, z), 0.16, YELLOW);
        bar(out, v(-4.6, top + 0.72, z), v(4.6, top + 0.72, z), 0.10, YELLOW);
        for i in 0..8 {
            let x = -4.6 + 1.15 * f64::from(i);
            let (a, b) = if i % 2 == 0 { (0.1, 0.72) } else { (0.72, 0.1) };
            bar(out, v(x, top + a, z), v(x + 1.15, top + b, z), 0.07, YELLOW);
        }
    }
    for i in 0..9 {
        let x = -4.6 + 1.15 * f64::from(i);
        bar(out, v(x, top + 0.72, -0.55), v(x, top + 0.72, 0.55), 0.06, YELLOW);
    }
    // The trolley, its cabin and lamp, four ropes, the spreader, and the load: a ball of glass.
    let x = 0.55;
    block(out, v(x, top + 0.28, 0.0), v(0.55, 0.12, 0.48), STRAIGHT, DARK);
    block(out, v(x, top + 0.48, 0.0), v(0.26, 0.14, 0.24), STRAIGHT, paint(0.75, 0.08, 0.05));
    block(out, v(x - 0.95, top - 0.42, 0.28), v(0.27, 0.30, 0.24), STRAIGHT, paint(0.82, 0.84, 0.86));
    block(
        out,
        v(x - 0.95, top - 0.36, 0.525),
        v(0.20, 0.16, 0.01),
        STRAIGHT,
        Material::Lamp { light: v(6.0, 4.6, 2.6) },
    );
    for (dx, dz) in [(-0.4, -0.3), (0.4, -0.3), (-0.4, 0.3), (0.4, 0.3)] {
        bar(out, v(x + dx, 3.30, dz * 0.7), v(x + dx, top + 0.2, dz), 0.028, DARK);
    }
    block(out, v(x, 3.25, 0.0), v(0.62, 0.07, 0.28), STRAIGHT, DARK);
    bar(out, v(x, 3.2, 0.0), v(x, 2.98, 0.0), 0.09, STEEL);
    sphere(out, v(x, 2.22, 0.0), 0.80, Material::Glass { tint: v(0.96, 0.985, 0.99) });
    sphere(out, v(x, 2.22, 0.0), 0.26, GOLD);
}

fn container(out: &mut Vec<Solid>, at: Vec3, turn: (f64, f64), colour: Material) {
    let half = v(1.05, 0.42, 0.42);
    let along = v(turn.0, 0.0, turn.1).unit();
    let across = along.cross(v(0.0, 1.0, 0.0));
    let centre = at + v(0.0, half.y, 0.0);
    block(out, centre, half - v(0.02, 0.02, 0.02), turn, colour);
    for z in [-1.0, 1.0] {
        for y in [-1.0, 1.0] {
            let line = centre + across * (z * (half.z - 0.03)) + v(0.0, y * (half.y - 0.03), 0.0);
            block(out, line, v(half.x, 0.03, 0.03), turn, colour);
        }
        for i in 0..9 {
            let x = (f64::from(i) - 4.0) * 0.225;
            block(
                out,
                centre + along * x + across * (z * (half.z - 0.02)),
                v(0.045, half.y - 0.02, 0.018),
                turn,
                colour,
            );
        }
    }
}

fn yard(out: &mut Vec<Solid>) {
    let teal = paint(0.02, 0.26, 0.30);
    let red = paint(0.55, 0.05, 0.035);
    let blue = paint(0.03, 0.09, 0.34);
    let white = paint(0.74, 0.73, 0.70);
    let green = paint(0.06, 0.24, 0.08);
    container(out, v(-1.55, 0.0, -0.75), STRAIGHT, teal);
    container(out, v(0.72, 0.0, -0.80), STRAIGHT, blue);
    container(out, v(-1.45, 0.84, -0.78), STRAIGHT, red);
    container(out, v(-1.5, 0.0, 0.35), (0.995, 0.05), white);
    container(out, v(-6.3, 0.0, -3.6), (0.9, -0.35), red);
    container(out, v(-6.2, 0.84, -3.7), (0.93, -0.30), white);
    container(out, v(6.0, 0.0, -3.4), (0.8, 0.55), green);
    container(out, v(6.7, 0.0, -5.6), STRAIGHT, blue);
    container(out, v(6.8, 0.84, -5.6), STRAIGHT, teal);
    container(out, v(-2.6, 0.0, -6.5), STRAIGHT, green);
    container(out, v(0.0, 0.0, -6.5), STRAIGHT, white);
    container(out, v(-1.2, 0.84, -6.5), STRAIGHT, blue);
    // Rails of the crane.
    for z in [-1.9, 1.9] {
        block(out, v(0.0, 0.012, z), v(40.0, 0.012, 0.05), STRAIGHT, STEEL);
    }
    // Balls in the foreground, for the light to play with.
    sphere(out, v(1.75, 0.46, 1.05), 0.46, CHROME);
    sphere(out, v(2.62, 0.27, 1.62), 0.27, paint(0.62, 0.03, 0.06));
    sphere(out, v(0.75, 0.30, 2.05), 0.30, Material::Glass { tint: v(0.80, 0.95, 0.90) });
    sphere(out, v(-0.35, 0.20, 2.35), 0.20, GOLD);
    sphere(out, v(1.62, 0.16, 2.55), 0.16, paint(0.05, 0.20, 0.62));
    sphere(out, v(-2.35, 0.26, 2.35), 0.26, paint(0.80, 0.78, 0.74));
    sphere(out, v(2.15, 0.11, 2.65), 0.11, Material::Lamp { light: v(9.0, 5.2, 2.2) });
}
