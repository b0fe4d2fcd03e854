use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::hardware::Kind;
use crate::random::digest;

/// What a predicate can name. The order of the variants is that of `TABLE`; names and meanings never change, new
/// ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "described in TABLE")]
pub enum Attribute {
    Kind,
    Vendor,
    Model,
    Arch,
    SmCount,
    VramMib,
    DriverMajor,
    RuntimeMajor,
    Mig,
    CpuCores,
    MemoryMib,
    DiskMib,
    NetMbps,
    GpuCount,
    Region,
    Tier,
    Tee,
}

/// Who says an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The hardware class: equal for every offer in it.
    Class,
    /// Each offer for itself.
    Offer,
}

/// What an attribute's integer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// A quantity: larger is more.
    Number,
    /// A text, by [`text_value`]: equal or not, without order.
    Text,
    /// A [`Kind`]: `wasm`, `cpu` or `gpu`.
    Kind,
}

/// The registry of attributes: one row each, in the order of the variants.
const TABLE: [(Attribute, &str, Scope, Values); 17] = [
    (Attribute::Kind, "kind", Scope::Class, Values::Kind),
    (Attribute::Vendor, "vendor", Scope::Class, Values::Text),
    (Attribute::Model, "model", Scope::Class, Values::Text),
    // Instruction set (x86_64, aarch64) or GPU architecture (ampere, hopper).
    (Attribute::Arch, "arch", Scope::Class, Values::Text),
    (Attribute::SmCount, "sm_count", Scope::Class, Values::Number),
    // Rounded up to the class's bucket of 4 GiB.
    (Attribute::VramMib, "vram_mib", Scope::Class, Values::Number),
    (Attribute::DriverMajor, "driver_major", Scope::Class, Values::Number),
    // CUDA or ROCm for a GPU, wasmtime for wasm.
    (Attribute::RuntimeMajor, "runtime_major", Scope::Class, Values::Number),
    (Attribute::Mig, "mig", Scope::Class, Values::Text),
    // Of one assignment, as are the next four.
    (Attribute::CpuCores, "cpu_cores", Scope::Offer, Values::Number),
    (Attribute::MemoryMib, "memory_mib", Scope::Offer, Values::Number),
    (Attribute::DiskMib, "disk_mib", Scope::Offer, Values::Number),
    (Attribute::NetMbps, "net_mbps", Scope::Offer, Values::Number),
    (Attribute::GpuCount, "gpu_count", Scope::Offer, Values::Number),
    (Attribute::Region, "region", Scope::Offer, Values::Text),
    (Attribute::Tier, "tier", Scope::Offer, Values::Number),
    (Attribute::Tee, "tee", Scope::Offer, Values::Text),
];

/// Why a name or a value is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// No attribute has this name.
    #[error("unknown attribute {0:?}")]
    Unknown(String),
    /// The text is no value of the attribute.
    #[error("{text:?} is not a value of {attribute}")]
    BadValue {
        /// The attribute.
        attribute: Attribute,
        /// What was given.
        text: String,
    },
    /// An offer may not say what its class fixes.
    #[error("{0} is fixed by the hardware class, an offer cannot set it")]
    FixedByClass(Attribute),
}

impl Attribute {
    /// All attributes, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The name that predicates and messages use.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Who says its value.
    pub fn scope(self) -> Scope {
        self.row().2
    }

    /// What its values stand for.
    pub fn values(self) -> Values {
        self.row().3
    }

    /// The integer for a value as people write it: `80000`, `nvidia`, `wasm`.
    ///
    /// # Errors
    /// [`AttributeError::BadValue`].
    pub fn parse_value(self, text: &str) -> Result<u64, AttributeError> {
        let value = match self.values() {
            Values::Number => text.parse().ok(),
            Values::Text => (!text.trim().is_empty()).then(|| text_value(text)),
            Values::Kind => text.parse::<Kind>().ok().map(Kind::value),
        };
        value.ok_or_else(|| AttributeError::BadValue { attribute: self, text: text.to_owned() })
    }

    fn row(self) -> &'static (Self, &'static str, Scope, Values) {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(name: &str) -> Result<Self, AttributeError> {
        TABLE
            .iter()
            .find(|row| row.1 == name)
            .map(|row| row.0)
            .ok_or_else(|| AttributeError::Unknown(name.chars().take(64).collect()))
    }
}

/// The integer that stands for a text: the first 8 bytes of a hash of it, trimmed and in ASCII lower case. Predicates
/// stay integers, and no table of vendors and models has to be governed.
pub fn text_value(text: &str) -> u64 {
    let hash = digest("gantry/text/v1", &[text.trim().to_ascii_lowercase().as_bytes()]);
    u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
}

/// Attributes with their values. An absent attribute satisfies no predicate, not even `!=`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes(BTreeMap<Attribute, u64>);

impl Attributes {
    /// Collects what an offer says of itself.
    ///
    /// # Errors
    /// [`AttributeError::FixedByClass`].
    pub fn of_offer(values: impl IntoIterator<Item = (Attribute, u64)>) -> Result<Self, AttributeError> {
        let values: Self = values.into_iter().collect();
        let fixed = values.iter().find(|(attribute, _)| attribute.scope() == Scope::Class);
        fixed.map_or(Ok(()), |(attribute, _)| Err(AttributeError::FixedByClass(attribute)))?;
        Ok(values)
    }

    /// The value, if there is one.
    pub fn get(&self, attribute: Attribute) -> Option<u64> {
        self.0.get(&attribute).copied()
    }

    /// All of them, in the order of the attributes.
    pub fn iter(&self) -> impl Iterator<Item = (Attribute, u64)> + '_ {
        self.0.iter().map(|(attribute, value)| (*attribute, *value))
    }
}

impl FromIterator<(Attribute, u64)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (Attribute, u64)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lies_in_the_order_of_the_variants() {
        for (at, attribute) in Attribute::all().enumerate() {
            assert_eq!(attribute as usize, at);
            assert_eq!(attribute.name().parse(), Ok(attribute));
        }
        assert_eq!("vram".parse::<Attribute>(), Err(AttributeError::Unknown("vram".to_owned())));
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(Attribute::VramMib.parse_value("80000"), Ok(80_000));
        assert_eq!(Attribute::Kind.parse_value("wasm"), Ok(1));
        assert_eq!(Attribute::Vendor.parse_value(" NVIDIA"), Ok(text_value("nvidia")));
        // Stored on chain, so it may never change. Computed apart from this crate, with another SHA-256.
        assert_eq!(text_value("nvidia"), 0x2c65_acf2_82cd_9955);
        for (attribute, text) in [
            (Attribute::VramMib, "80 GB"),
            (Attribute::VramMib, "-1"),
            (Attribute::Kind, "tpu"),
            (Attribute::Region, " "),
        ] {
            assert!(attribute.parse_value(text).is_err(), "{attribute} {text}");
        }
    }

    #[test]
    fn an_offer_cannot_say_what_its_class_fixes() {
        assert_eq!(
            Attributes::of_offer([(Attribute::VramMib, 1)]),
            Err(AttributeError::FixedByClass(Attribute::VramMib))
        );
        assert_eq!(Attributes::of_offer([(Attribute::DiskMib, 1)]).map(|a| a.get(Attribute::DiskMib)), Ok(Some(1)));
    }
}
