use std::collections::BTreeMap;
use std::fmt;

use crate::attribute::{Attribute, Values};
use crate::hardware::ClassId;

/// Most predicates of one job.
pub const MAX_PREDICATES: usize = 16;
/// Most classes that one job may name.
pub const MAX_CLASSES: usize = 16;
/// Most values of one `in`.
pub const MAX_VALUES: usize = 16;

/// A test of one integer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the usual six comparisons")]
pub enum Op {
    Eq(u64),
    Ne(u64),
    Ge(u64),
    Le(u64),
    Gt(u64),
    Lt(u64),
    /// One of at most [`MAX_VALUES`] values.
    In(Vec<u64>),
}

impl Op {
    /// Whether a value passes.
    pub fn holds(&self, value: u64) -> bool {
        match self {
            Self::Eq(wanted) => value == *wanted,
            Self::Ne(wanted) => value != *wanted,
            Self::Ge(wanted) => value >= *wanted,
            Self::Le(wanted) => value <= *wanted,
            Self::Gt(wanted) => value > *wanted,
            Self::Lt(wanted) => value < *wanted,
            Self::In(wanted) => wanted.contains(&value),
        }
    }

    /// How it is written.
    pub fn symbol(&self) -> &'static str {
        match self {
            Self::Eq(_) => "==",
            Self::Ne(_) => "!=",
            Self::Ge(_) => ">=",
            Self::Le(_) => "<=",
            Self::Gt(_) => ">",
            Self::Lt(_) => "<",
            Self::In(_) => "in",
        }
    }

    /// What it compares with.
    pub fn values(&self) -> &[u64] {
        match self {
            Self::Eq(v) | Self::Ne(v) | Self::Ge(v) | Self::Le(v) | Self::Gt(v) | Self::Lt(v) => {
                std::slice::from_ref(v)
            }
            Self::In(values) => values,
        }
    }

    fn is_ordering(&self) -> bool {
        matches!(self, Self::Ge(_) | Self::Le(_) | Self::Gt(_) | Self::Lt(_))
    }
}

/// One requirement: an attribute that must be there, and pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Predicate {
    /// What is tested.
    pub attribute: Attribute,
    /// How.
    pub op: Op,
}

impl Predicate {
    /// As text, with values shown by `show`.
    pub(crate) fn write(&self, show: impl Fn(Attribute, u64) -> String) -> String {
        let values: Vec<_> = self.op.values().iter().map(|value| show(self.attribute, *value)).collect();
        let values = if matches!(self.op, Op::In(_)) { format!("{{{}}}", values.join(", ")) } else { values.concat() };
        format!("{} {} {values}", self.attribute, self.op.symbol())
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(|_, value| value.to_string()))
    }
}

/// What the machine must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirements {
    /// Only these classes; empty for any.
    pub classes: Vec<ClassId>,
    /// All must hold.
    pub predicates: Vec<Predicate>,
    /// Lowest reputation taken, 0 to 1000.
    pub min_reputation: u16,
}

/// Why requirements are refused at submission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementsError {
    /// More than [`MAX_PREDICATES`].
    #[error("{0} predicates: at most {MAX_PREDICATES} are allowed")]
    TooManyPredicates(usize),
    /// More than [`MAX_CLASSES`].
    #[error("{0} classes: at most {MAX_CLASSES} are allowed")]
    TooManyClasses(usize),
    /// A class named twice.
    #[error("class {0} is named twice")]
    DuplicateClass(ClassId),
    /// `in` without values.
    #[error("predicate {0} on {1}: \"in\" needs a value")]
    EmptyIn(usize, Attribute),
    /// `in` with more than [`MAX_VALUES`].
    #[error("predicate {0} on {1}: \"in\" takes at most {MAX_VALUES} values")]
    TooManyValues(usize, Attribute),
    /// `<`, `<=`, `>` or `>=` on something without order.
    #[error("predicate {0}: {1} has no order, use ==, != or in")]
    NoOrder(usize, Attribute),
    /// No value satisfies all predicates on the attribute.
    #[error("no value of {0} satisfies all its predicates")]
    Impossible(Attribute),
    /// Above 1000.
    #[error("minimum reputation {0} is above 1000")]
    Reputation(u16),
}

impl Requirements {
    /// Checks bounds, and that each attribute's predicates leave at least one value.
    ///
    /// # Errors
    /// The first thing wrong. Positions of predicates count from 0.
    pub fn validate(&self) -> Result<(), RequirementsError> {
        use RequirementsError as E;
        if self.predicates.len() > MAX_PREDICATES {
            return Err(E::TooManyPredicates(self.predicates.len()));
        }
        if self.classes.len() > MAX_CLASSES {
            return Err(E::TooManyClasses(self.classes.len()));
        }
        for (at, class) in self.classes.iter().enumerate() {
            if self.classes[..at].contains(class) {
                return Err(E::DuplicateClass(class.clone()));
            }
        }
        if self.min_reputation > 1000 {
            return Err(E::Reputation(self.min_reputation));
        }
        let mut by_attribute: BTreeMap<Attribute, Vec<&Op>> = BTreeMap::new();
        for (at, Predicate { attribute, op }) in self.predicates.iter().enumerate() {
            match op.values().len() {
                0 => return Err(E::EmptyIn(at, *attribute)),
                1..=MAX_VALUES => {}
                _ => return Err(E::TooManyValues(at, *attribute)),
            }
            if op.is_ordering() && attribute.values() != Values::Number {
                return Err(E::NoOrder(at, *attribute));
            }
            by_attribute.entry(*attribute).or_default().push(op);
        }
        match by_attribute.into_iter().find(|(_, ops)| !satisfiable(ops)) {
            Some((attribute, _)) => Err(E::Impossible(attribute)),
            None => Ok(()),
        }
    }
}

/// Whether some integer passes all tests.
fn satisfiable(ops: &[&Op]) -> bool {
    let passes = |value: u64| ops.iter().all(|op| op.holds(value));
    // With `==` or `in` only the values named can pass.
    if let Some(named) = ops.iter().find(|op| matches!(op, Op::Eq(_) | Op::In(_))) {
        return named.values().iter().copied().any(passes);
    }
    // Else what is left is a range less the values of `!=`: from its lower end, each of those is stepped over once.
    let lower = ops.iter().try_fold(0, |lower: u64, op| match op {
        Op::Ge(value) => Some(lower.max(*value)),
        Op::Gt(value) => Some(lower.max(value.checked_add(1)?)),
        _ => Some(lower),
    });
    lower.is_some_and(|lower| (0..=ops.len() as u64).any(|step| lower.checked_add(step).is_some_and(passes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on(attribute: Attribute, ops: &[Op]) -> Requirements {
        let predicates = ops.iter().map(|op| Predicate { attribute, op: op.clone() }).collect();
        Requirements { predicates, ..Default::default() }
    }

    #[test]
    fn bounds_are_kept() {
        use RequirementsError as E;
        let cases = [
            (on(Attribute::DiskMib, &vec![Op::Ge(1); 17]), E::TooManyPredicates(17)),
            (on(Attribute::DiskMib, &[Op::In(vec![])]), E::EmptyIn(0, Attribute::DiskMib)),
            (on(Attribute::DiskMib, &[Op::Ge(1), Op::In((0..17).collect())]), E::TooManyValues(1, Attribute::DiskMib)),
            (on(Attribute::Vendor, &[Op::Gt(5)]), E::NoOrder(0, Attribute::Vendor)),
            (on(Attribute::Kind, &[Op::Lt(5)]), E::NoOrder(0, Attribute::Kind)),
            (Requirements { min_reputation: 1001, ..Default::default() }, E::Reputation(1001)),
        ];
        for (requirements, error) in cases {
            assert_eq!(requirements.validate(), Err(error));
        }
        assert_eq!(on(Attribute::DiskMib, &vec![Op::Ge(1); 16]).validate(), Ok(()));
    }

    #[test]
    fn impossible_predicates_are_found() {
        for ops in [
            vec![Op::Ge(5), Op::Le(3)],
            vec![Op::Gt(5), Op::Lt(6)],
            vec![Op::Eq(5), Op::Eq(6)],
            vec![Op::Eq(5), Op::Ne(5)],
            vec![Op::In(vec![1, 2]), Op::In(vec![3, 4])],
            vec![Op::In(vec![1, 2]), Op::Ne(1), Op::Ne(2)],
            vec![Op::Ge(1), Op::Le(2), Op::Ne(1), Op::Ne(2)],
            vec![Op::Gt(u64::MAX)],
            vec![Op::Lt(0)],
        ] {
            assert_eq!(
                on(Attribute::DiskMib, &ops).validate(),
                Err(RequirementsError::Impossible(Attribute::DiskMib)),
                "{ops:?}"
            );
        }
        for ops in [
            vec![Op::Ge(u64::MAX)],
            vec![Op::Le(0)],
            vec![Op::Ge(1), Op::Le(3), Op::Ne(1), Op::Ne(2)],
            vec![Op::Gt(5), Op::Lt(7)],
        ] {
            assert_eq!(on(Attribute::DiskMib, &ops).validate(), Ok(()), "{ops:?}");
        }
    }

    fn op() -> impl Strategy<Value = Op> {
        let value = 0..12u64;
        prop_oneof![
            value.clone().prop_map(Op::Eq),
            value.clone().prop_map(Op::Ne),
            value.clone().prop_map(Op::Ge),
            value.clone().prop_map(Op::Le),
            value.clone().prop_map(Op::Gt),
            value.clone().prop_map(Op::Lt),
            proptest::collection::vec(value, 1..4).prop_map(Op::In),
        ]
    }

    proptest! {
        #[test]
        fn impossible_means_no_value_passes(ops in proptest::collection::vec(op(), 1..10)) {
            // Values named are below 12, so all above 11 behave alike.
            let any = (0..=30).any(|value| ops.iter().all(|op| op.holds(value)));
            prop_assert_eq!(on(Attribute::DiskMib, &ops).validate().is_ok(), any);
        }
    }
}
