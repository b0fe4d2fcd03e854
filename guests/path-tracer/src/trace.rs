//! The light transport: a path tracer with the sun sampled at each bounce.

use crate::math::{cos_sin, v, Rng, Vec3};
use crate::scene::{Hit, Material, Ray, Scene};

/// What is drawn and how finely. The same settings give the same bytes everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Paths per pixel.
    pub samples: u32,
    /// Chooses the noise.
    pub seed: u64,
}

/// What is kept of a pixel: its light and the first rough surface seen, which guides the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixel {
    /// Mean radiance divided by `albedo`.
    pub light: [f32; 3],
    /// Variance of the mean's luminance.
    pub variance: f32,
    /// Colour of the surface, 255 for one.
    pub albedo: [u8; 3],
    /// Normal of the surface, 127 for one.
    pub normal: [i8; 3],
}

struct Camera {
    from: Vec3,
    right: Vec3,
    up: Vec3,
    forward: Vec3,
}

impl Camera {
    fn new(from: Vec3, to: Vec3, zoom: f64) -> Camera {
        let forward = (to - from).unit();
        let right = forward.cross(v(0.0, 1.0, 0.0)).unit();
        Camera { from, right, up: right.cross(forward), forward: forward * zoom }
    }

    /// The ray through a point of the picture; both coordinates in units of its height, from its middle.
    fn ray(&self, x: f64, y: f64) -> Ray {
        Ray { from: self.from, dir: (self.forward + self.right * x - self.up * y).unit() }
    }
}

/// Numbers of one path: the first six come from a sequence that covers the cube evenly, the rest are random.
struct Draw {
    even: [f64; 6],
    used: usize,
    rng: Rng,
}

/// Powers of the root of x^7 = x + 1: steps of Roberts' sequence in six dimensions, with any number of points spread evenly.
const STEPS: [f64; 6] = [
    0.8986537126286992,
    0.8075784952213447,
    0.7257334129697597,
    0.6521830259439715,
    0.5860866975779693,
    0.5266889867007357,
];

impl Draw {
    fn next(&mut self) -> f64 {
        self.used += 1;
        match self.even.get(self.used - 1) {
            Some(&x) => x,
            None => self.rng.unit(),
        }
    }
}

/// A renderer for one picture.
pub struct Tracer {
    scene: Scene,
    camera: Camera,
    settings: Settings,
}

const BOUNCES: u32 = 8;

impl Tracer {
    /// Prepares the scene.
    pub fn new(settings: Settings) -> Tracer {
        let camera = Camera::new(v(4.9, 1.75, 10.6), v(-0.02, 2.58, 0.0), 1.33);
        Tracer { scene: Scene::crane(), camera, settings }
    }

    /// One pixel, whatever tile it is in.
    pub fn pixel(&self, x: usize, y: usize) -> Pixel {
        let Settings { width, height, samples, seed } = self.settings;
        let index = (y * width + x) as u64;
        let mut shift = Rng::new(seed, index, u64::MAX);
        let start: [f64; 6] = core::array::from_fn(|_| shift.unit());
        let scale = 1.0 / height as f64;
        let (mut light, mut albedo, mut normal) = (Vec3::ZERO, Vec3::ZERO, Vec3::ZERO);
        let (mut sum, mut squares) = (0.0, 0.0);
        for sample in 0..samples {
            let even = core::array::from_fn(|k| {
                let at = start[k] + f64::from(sample + 1) * STEPS[k];
                at - at.floor()
            });
            let mut draw = Draw { even, used: 0, rng: Rng::new(seed, index, u64::from(sample)) };
            let px = (x as f64 + draw.next() - width as f64 * 0.5) * scale;
            let py = (y as f64 + draw.next() - height as f64 * 0.5) * scale;
            let path = self.path(self.camera.ray(px, py), &mut draw);
            light += path.light;
            albedo += path.albedo;
            normal += path.normal;
            let l = path.light.luminance();
            sum += l;
            squares += l * l;
        }
        let n = f64::from(samples);
        let (light, albedo, normal) = (light / n, albedo / n, normal / n);
        let mean = sum / n;
        let stored = [albedo.x, albedo.y, albedo.z].map(|a| (a.min(1.0) * 255.0 + 0.5) as u8);
        let base = albedo_of(stored);
        let shade = base.luminance();
        Pixel {
            light: [light.x / base.x, light.y / base.y, light.z / base.z].map(|c| c as f32),
            variance: ((squares / n - mean * mean).max(0.0) / n / (shade * shade)) as f32,
            albedo: stored,
            normal: [normal.x, normal.y, normal.z].map(|c| (c * 127.0) as i8),
        }
    }

    fn path(&self, mut ray: Ray, draw: &mut Draw) -> Path {
        let mut out = Path { light: Vec3::ZERO, albedo: Vec3::ONE, normal: Vec3::ZERO };
        let mut weight = Vec3::ONE;
        // Whether all surfaces so far were mirrors or glass: then the next one is what the eye sees.
        let mut clear = true;
        // Whether the sun was not sampled at the last surface, so that hitting it counts.
        let mut direct = true;
        for bounce in 0..BOUNCES {
            let hit = match self.scene.hit(&ray) {
                Some(hit) => hit,
                None => {
                    let light = weight.filter(self.scene.sky(ray.dir, direct));
                    // A path that found the sun in a blurred mirror must not leave a white dot.
                    out.light += if bounce > 1 { cap(light, 8.0) } else { cap(light, 30.0) };
                    if clear {
                        out.normal = -ray.dir;
                    }
                    return out;
                }
            };
            let at = ray.at(hit.t);
            let (base, gloss, rough) = match hit.material {
                Material::Lamp { light } => {
                    out.light += weight.filter(light);
                    if clear {
                        out.normal = hit.normal;
                    }
                    return out;
                }
                Material::Glass { tint } => {
                    weight = weight.filter(tint);
                    ray = refract(&ray, &hit, at, draw);
                    direct = true;
                    continue;
                }
                Material::Metal { tint, rough } => {
                    if clear && rough > 0.05 {
                        clear = false;
                        out.normal = hit.normal;
                        out.albedo = tint;
                    }
                    let facing = -ray.dir.dot(hit.normal);
                    weight = weight.filter(tint + (Vec3::ONE - tint) * fifth(1.0 - facing));
                    ray = Ray { from: at, dir: blurred(ray.dir.reflect(hit.normal), hit.normal, rough, draw) };
                    direct = rough < 0.1;
                    if rough >= 0.1 {
                        out.light += weight.filter(self.sun_in_mirror(at, ray.dir, rough));
                    }
                    continue;
                }
                Material::Paint { base, gloss, rough } => (base, gloss, rough),
                Material::Quay => (Scene::slab(at), 0.035, 0.10),
            };
            if clear {
                clear = false;
                out.normal = hit.normal;
                out.albedo = base;
            }
            let facing = (-ray.dir.dot(hit.normal)).max(0.0);
            let mirror = gloss + (1.0 - gloss) * fifth(1.0 - facing) * (1.0 - rough * 2.0);
            // The coat and the base are chosen in proportion to what they send on, and never seldom.
            let chance = if bounce < 2 { 0.15 + 0.7 * mirror } else { mirror };
            if draw.next() < chance {
                weight = weight * (mirror / chance);
                ray = Ray { from: at, dir: blurred(ray.dir.reflect(hit.normal), hit.normal, rough, draw) };
                direct = true;
                continue;
            }
            weight = weight.filter(base) * ((1.0 - mirror) / (1.0 - chance));
            out.light += weight.filter(self.sunlit(at, hit.normal, draw));
            if bounce > 2 {
                let keep = weight.peak().min(0.95);
                if draw.rng.unit() >= keep {
                    return out;
                }
                weight = weight / keep;
            }
            ray = Ray { from: at, dir: hemisphere(hit.normal, draw) };
            direct = false;
        }
        out
    }

    /// Light of the sun on a diffuse surface, with the soft edge of its disc.
    fn sunlit(&self, at: Vec3, normal: Vec3, draw: &mut Draw) -> Vec3 {
        let (a, b) = self.scene.sun.frame();
        let (c, s) = cos_sin(draw.next());
        let r = draw.next().sqrt() * 0.035;
        let dir = (self.scene.sun + a * (c * r) + b * (s * r)).unit();
        let facing = dir.dot(normal);
        if facing <= 0.0 {
            return Vec3::ZERO;
        }
        self.scene.sunlight.filter(self.scene.passes(&Ray { from: at, dir })) * facing
    }

    /// The highlight of the sun on brushed metal, whose blurred mirror would rarely find the disc.
    fn sun_in_mirror(&self, at: Vec3, mirrored: Vec3, rough: f64) -> Vec3 {
        let off = 1.0 - mirrored.dot(self.scene.sun);
        let spread = rough * rough;
        let shape = spread / (spread + off * 4.0);
        if shape < 0.05 {
            return Vec3::ZERO;
        }
        self.scene.sunlight.filter(self.scene.passes(&Ray { from: at, dir: self.scene.sun })) * (shape * shape * shape)
    }
}

struct Path {
    light: Vec3,
    albedo: Vec3,
    normal: Vec3,
}

/// The colour that [`Pixel::light`] is divided by: never so dark that the quotient explodes.
pub fn albedo_of(stored: [u8; 3]) -> Vec3 {
    let one = |a: u8| (f64::from(a) / 255.0).max(0.02);
    v(one(stored[0]), one(stored[1]), one(stored[2]))
}

fn cap(light: Vec3, most: f64) -> Vec3 {
    let peak = light.peak();
    if peak > most {
        light * (most / peak)
    } else {
        light
    }
}

fn fifth(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    let q = x * x;
    q * q * x
}

/// A direction above the surface, with the density of the cosine.
fn hemisphere(normal: Vec3, draw: &mut Draw) -> Vec3 {
    let (a, b) = normal.frame();
    let (c, s) = cos_sin(draw.next());
    let u = draw.next();
    let r = u.sqrt();
    (a * (c * r) + b * (s * r) + normal * (1.0 - u).max(1e-9).sqrt()).unit()
}

fn blurred(mirrored: Vec3, normal: Vec3, rough: f64, draw: &mut Draw) -> Vec3 {
    let (c, s) = cos_sin(draw.rng.unit());
    let r = draw.rng.unit().sqrt() * rough;
    let (a, b) = mirrored.frame();
    let dir = (mirrored + a * (c * r) + b * (s * r)).unit();
    if dir.dot(normal) > 0.0 {
        dir
    } else {
        mirrored
    }
}

/// Through or off a surface of glass (index 1.5), chosen by Schlick's share.
fn refract(ray: &Ray, hit: &Hit, at: Vec3, draw: &mut Draw) -> Ray {
    let inside = ray.dir.dot(hit.normal) > 0.0;
    let (normal, ratio) = if inside { (-hit.normal, 1.5) } else { (hit.normal, 1.0 / 1.5) };
    let cosine = (-ray.dir.dot(normal)).min(1.0);
    let square = 1.0 - ratio * ratio * (1.0 - cosine * cosine);
    let lean = if inside { square.max(0.0).sqrt() } else { cosine };
    let dir = if square <= 0.0 || draw.rng.unit() < 0.04 + 0.96 * fifth(1.0 - lean) {
        ray.dir.reflect(normal)
    } else {
        (ray.dir * ratio + normal * (ratio * cosine - square.sqrt())).unit()
    };
    Ray { from: at, dir }
}
