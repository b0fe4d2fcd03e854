use std::fmt;
use std::str::FromStr;

use crate::attribute::{Attribute, Attributes, text_value};
use crate::random::digest;

/// VRAM is rounded up to this, because drivers reserve different parts of what is on the board.
const VRAM_BUCKET_MIB: u64 = 4096;
const MAX_TEXT: usize = 64;

/// What executes a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// WebAssembly under deterministic settings.
    Wasm = 1,
    /// Containers on CPUs.
    Cpu = 2,
    /// Containers with a GPU.
    Gpu = 3,
}

impl Kind {
    /// Its value as an attribute.
    pub fn value(self) -> u64 {
        self as u64
    }

    /// Its name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl FromStr for Kind {
    type Err = HardwareError;

    fn from_str(name: &str) -> Result<Self, HardwareError> {
        [Self::Wasm, Self::Cpu, Self::Gpu]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| HardwareError::UnknownKind(name.chars().take(MAX_TEXT).collect()))
    }
}

/// What two machines must share so that their results may be compared. Texts are compared trimmed and in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hardware {
    /// What executes.
    pub kind: Kind,
    /// GPU maker.
    pub vendor: String,
    /// GPU model.
    pub model: String,
    /// Instruction set, or GPU architecture.
    pub arch: String,
    /// Streaming multiprocessors (compute units) of the GPU.
    pub sm_count: u32,
    /// Memory of the GPU in MiB.
    pub vram_mib: u64,
    /// Major version of the GPU driver.
    pub driver_major: u32,
    /// Major version of CUDA or ROCm; of wasmtime for wasm.
    pub runtime_major: u32,
    /// The slice of the GPU, such as `1g.10gb`; empty for a whole one.
    pub mig_profile: String,
}

/// Why a description is no hardware class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HardwareError {
    /// Not `wasm`, `cpu` or `gpu`.
    #[error("unknown hardware kind {0:?}: use wasm, cpu or gpu")]
    UnknownKind(String),
    /// A field that this kind needs is empty or 0.
    #[error("{kind} hardware needs {field}", kind = .kind.name())]
    Missing {
        /// The kind.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
    /// A field that does not belong to the kind; it would make two descriptions of one class.
    #[error("{kind} hardware has no {field}", kind = .kind.name())]
    NotOfKind {
        /// The kind.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
    /// A text that is too long or not printable ASCII; an instruction set has letters, digits and `_` only.
    #[error("{field} must be at most {MAX_TEXT} printable ASCII characters (arch: letters, digits, '_')")]
    BadText {
        /// The field.
        field: &'static str,
    },
    /// No class id.
    #[error("invalid class id {0:?}")]
    BadClassId(String),
}

impl Hardware {
    /// The class of wasm workers: one for each wasmtime major version and instruction set.
    pub fn wasm(runtime_major: u32, arch: &str) -> Self {
        Self { kind: Kind::Wasm, runtime_major, ..Self::cpu(arch) }
    }

    /// The class of CPU workers of one instruction set.
    pub fn cpu(arch: &str) -> Self {
        Self {
            kind: Kind::Cpu,
            vendor: String::new(),
            model: String::new(),
            arch: arch.to_owned(),
            sm_count: 0,
            vram_mib: 0,
            driver_major: 0,
            runtime_major: 0,
            mig_profile: String::new(),
        }
    }

    /// The id of its class: `wasm-48-x86_64`, `cpu-x86_64`, or 64 hexadecimal digits of a hash for a GPU.
    ///
    /// # Errors
    /// When a field is missing, does not belong to the kind, or is no text of ours.
    pub fn class_id(&self) -> Result<ClassId, HardwareError> {
        let same = self.normalised()?;
        Ok(ClassId(match same.kind {
            Kind::Wasm => format!("wasm-{}-{}", same.runtime_major, same.arch),
            Kind::Cpu => format!("cpu-{}", same.arch),
            Kind::Gpu => hex::encode(digest(
                "gantry/hw_class/v1",
                &[
                    same.vendor.as_bytes(),
                    same.model.as_bytes(),
                    same.arch.as_bytes(),
                    &same.sm_count.to_be_bytes(),
                    &same.vram_mib.to_be_bytes(),
                    &same.driver_major.to_be_bytes(),
                    &same.runtime_major.to_be_bytes(),
                    same.mig_profile.as_bytes(),
                ],
            )),
        }))
    }

    /// The description that stands for the whole class: lower case, VRAM rounded up. Classes store this one.
    ///
    /// # Errors
    /// As [`Hardware::class_id`].
    pub fn normalised(&self) -> Result<Self, HardwareError> {
        let gpu = [Kind::Gpu].as_slice();
        // Field, whether it is set, the kinds that need it, the kinds that may have it.
        let rules: [(&'static str, bool, &[Kind], &[Kind]); 8] = [
            ("vendor", !self.vendor.trim().is_empty(), gpu, gpu),
            ("model", !self.model.trim().is_empty(), gpu, gpu),
            (
                "arch",
                !self.arch.trim().is_empty(),
                &[Kind::Wasm, Kind::Cpu, Kind::Gpu],
                &[Kind::Wasm, Kind::Cpu, Kind::Gpu],
            ),
            ("sm_count", self.sm_count != 0, gpu, gpu),
            ("vram_mib", self.vram_mib != 0, gpu, gpu),
            ("driver_major", self.driver_major != 0, gpu, gpu),
            ("runtime_major", self.runtime_major != 0, &[Kind::Wasm], &[Kind::Wasm, Kind::Gpu]),
            ("mig_profile", !self.mig_profile.trim().is_empty(), &[], gpu),
        ];
        for (field, set, needed, allowed) in rules {
            if !set && needed.contains(&self.kind) {
                return Err(HardwareError::Missing { kind: self.kind, field });
            }
            if set && !allowed.contains(&self.kind) {
                return Err(HardwareError::NotOfKind { kind: self.kind, field });
            }
        }
        let text = |field, text: &str| {
            let text = text.trim().to_ascii_lowercase();
            let printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            if text.len() <= MAX_TEXT && printable { Ok(text) } else { Err(HardwareError::BadText { field }) }
        };
        let arch = text("arch", &self.arch)?;
        // It becomes part of a class id.
        if arch.len() > 32 || !arch.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(HardwareError::BadText { field: "arch" });
        }
        let vram_mib = self.vram_mib.div_ceil(VRAM_BUCKET_MIB).saturating_mul(VRAM_BUCKET_MIB);
        Ok(Self {
            vendor: text("vendor", &self.vendor)?,
            model: text("model", &self.model)?,
            mig_profile: text("mig_profile", &self.mig_profile)?,
            arch,
            vram_mib,
            ..self.clone()
        })
    }

    /// The integers that predicates test; what does not belong to the kind is absent.
    ///
    /// # Errors
    /// As [`Hardware::class_id`].
    pub fn attributes(&self) -> Result<Attributes, HardwareError> {
        let same = self.normalised()?;
        let text = |text: &str| if text.is_empty() { 0 } else { text_value(text) };
        let values = [
            (Attribute::Kind, same.kind.value()),
            (Attribute::Vendor, text(&same.vendor)),
            (Attribute::Model, text(&same.model)),
            (Attribute::Arch, text(&same.arch)),
            (Attribute::SmCount, u64::from(same.sm_count)),
            (Attribute::VramMib, same.vram_mib),
            (Attribute::DriverMajor, u64::from(same.driver_major)),
            (Attribute::RuntimeMajor, u64::from(same.runtime_major)),
            (Attribute::Mig, text(&same.mig_profile)),
        ];
        Ok(values.into_iter().filter(|(_, value)| *value != 0).collect())
    }
}

/// The id of a hardware class: `wasm-<wasmtime major>-<arch>`, `cpu-<arch>`, or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(String);

impl ClassId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClassId {
    type Err = HardwareError;

    /// Takes an id of one of the three forms and nothing else.
    fn from_str(id: &str) -> Result<Self, HardwareError> {
        let bad = || HardwareError::BadClassId(id.chars().take(80).collect());
        let hardware = match id.split_once('-') {
            Some(("cpu", arch)) => Hardware::cpu(arch),
            Some(("wasm", rest)) => {
                let (major, arch) = rest.split_once('-').ok_or_else(bad)?;
                Hardware::wasm(major.parse().map_err(|_| bad())?, arch)
            }
            _ if id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) => {
                return Ok(Self(id.to_owned()));
            }
            _ => return Err(bad()),
        };
        // Only the one spelling that the hardware itself would give.
        hardware.class_id().ok().filter(|class| class.0 == id).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a100() -> Hardware {
        Hardware {
            kind: Kind::Gpu,
            vendor: "NVIDIA".to_owned(),
            model: "A100-SXM4-80GB".to_owned(),
            arch: "ampere".to_owned(),
            sm_count: 108,
            vram_mib: 81_251,
            driver_major: 570,
            runtime_major: 12,
            mig_profile: String::new(),
        }
    }

    #[test]
    fn what_does_not_change_results_does_not_change_the_class() {
        let id = a100().class_id().unwrap();
        // Stored on chain, so it may never change. Computed apart from this crate, with another SHA-256.
        assert_eq!(id.as_str(), "9e1cbcb6530f3918e0f79e113edd400410eee1e75c8c5587f217ff5befa5631c");
        for vram_mib in [81_559, 81_920, 77_825] {
            assert_eq!(Hardware { vram_mib, vendor: " nvidia ".to_owned(), ..a100() }.class_id().unwrap(), id);
        }
        assert_eq!(a100().attributes().unwrap().get(Attribute::VramMib), Some(81_920));
        assert_eq!(a100().attributes().unwrap().get(Attribute::Mig), None);
    }

    #[test]
    fn whatever_changes_results_changes_the_class() {
        let others = [
            Hardware { vendor: "amd".to_owned(), ..a100() },
            Hardware { model: "a100-pcie-80gb".to_owned(), ..a100() },
            Hardware { arch: "hopper".to_owned(), ..a100() },
            Hardware { sm_count: 107, ..a100() },
            Hardware { vram_mib: 40_960, ..a100() },
            Hardware { driver_major: 580, ..a100() },
            Hardware { runtime_major: 13, ..a100() },
            Hardware { mig_profile: "1g.10gb".to_owned(), ..a100() },
            // The same letters, cut elsewhere.
            Hardware { vendor: "nvidiaa".to_owned(), model: "100-sxm4-80gb".to_owned(), ..a100() },
        ];
        let mut ids: Vec<_> = others.iter().chain([&a100()]).map(|h| h.class_id().unwrap()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), others.len() + 1);
    }

    #[test]
    fn wasm_and_cpu_classes_are_readable() {
        let id = Hardware::wasm(48, "x86_64").class_id().unwrap();
        assert_eq!(id.as_str(), "wasm-48-x86_64");
        assert_eq!("wasm-48-x86_64".parse(), Ok(id));
        assert_eq!(Hardware::cpu("aarch64").class_id().unwrap().as_str(), "cpu-aarch64");
        assert_eq!("cpu-aarch64".parse::<ClassId>().unwrap(), Hardware::cpu("AARCH64").class_id().unwrap());
        for bad in [
            "",
            "wasm",
            "wasm-48",
            "wasm-048-x86_64",
            "wasm-0-x86_64",
            "wasm-48-x86-64",
            "cpu-",
            "cpu-X86",
            "gpu-a100",
            &"F".repeat(64),
        ] {
            assert!(bad.parse::<ClassId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_must_belong_to_the_kind() {
        let wasm = Hardware::wasm(48, "x86_64");
        assert_eq!(
            Hardware { vendor: "nvidia".to_owned(), ..wasm.clone() }.class_id(),
            Err(HardwareError::NotOfKind { kind: Kind::Wasm, field: "vendor" })
        );
        assert_eq!(
            Hardware { runtime_major: 0, ..wasm.clone() }.class_id(),
            Err(HardwareError::Missing { kind: Kind::Wasm, field: "runtime_major" })
        );
        assert_eq!(
            Hardware { sm_count: 0, ..a100() }.class_id(),
            Err(HardwareError::Missing { kind: Kind::Gpu, field: "sm_count" })
        );
        for arch in ["x86-64", "x86 64", "é", &"a".repeat(33)] {
            assert_eq!(
                Hardware { arch: arch.to_owned(), ..wasm.clone() }.class_id(),
                Err(HardwareError::BadText { field: "arch" })
            );
        }
        assert!(Hardware { vram_mib: u64::MAX, ..a100() }.class_id().is_ok());
        assert!(Hardware { model: "a\nb".to_owned(), ..a100() }.class_id().is_err());
    }
}
