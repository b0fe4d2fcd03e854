use std::collections::BTreeMap;

use crate::attribute::{Attribute, Attributes, Values, text_value};
use crate::hardware::{ClassId, Hardware, HardwareError, Kind};

/// A hardware class and what predicates see of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its id.
    pub id: ClassId,
    /// The description that stands for all its members.
    pub hardware: Hardware,
    /// The same as integers.
    pub attributes: Attributes,
}

impl Class {
    /// The class that hardware belongs to.
    ///
    /// # Errors
    /// As [`Hardware::class_id`].
    pub fn of(hardware: &Hardware) -> Result<Self, HardwareError> {
        Ok(Self { id: hardware.class_id()?, hardware: hardware.normalised()?, attributes: hardware.attributes()? })
    }
}

/// The classes known to the chain.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    classes: BTreeMap<ClassId, Class>,
    /// What text values stand for, for people to read.
    texts: BTreeMap<u64, String>,
}

impl Registry {
    /// Adds a class; one that is there already stays as it is (equal ids mean equal classes).
    pub fn insert(&mut self, class: Class) {
        let hardware = &class.hardware;
        for text in [&hardware.vendor, &hardware.model, &hardware.arch, &hardware.mig_profile] {
            self.learn(text);
        }
        self.classes.entry(class.id.clone()).or_insert(class);
    }

    /// Remembers a text (a region, say), so that reasons can show it instead of its number.
    pub fn learn(&mut self, text: &str) {
        self.texts.entry(text_value(text)).or_insert_with(|| text.trim().to_ascii_lowercase());
    }

    /// A class by id.
    pub fn get(&self, id: &ClassId) -> Option<&Class> {
        self.classes.get(id)
    }

    /// All classes, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Class> {
        self.classes.values()
    }

    /// A value as people write it; a text never seen shows as its number.
    pub fn show(&self, attribute: Attribute, value: u64) -> String {
        let text = match attribute.values() {
            Values::Number => None,
            Values::Text => self.texts.get(&value).cloned(),
            Values::Kind => [Kind::Wasm, Kind::Cpu, Kind::Gpu]
                .into_iter()
                .find(|kind| kind.value() == value)
                .map(|kind| kind.name().to_owned()),
        };
        text.unwrap_or_else(|| value.to_string())
    }
}

impl FromIterator<Class> for Registry {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        let mut registry = Self::default();
        for class in classes {
            registry.insert(class);
        }
        registry
    }
}
