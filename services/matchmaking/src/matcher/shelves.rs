//! Waiting tickets in the order of their skill, by what keeps them apart for ever: the region, and properties that must
//! be equal.

use std::collections::BTreeMap;

use super::shelf::{Mark, Shelf};
use super::slots::Slot;
use super::waiting::{Fact, Waiting};
use crate::ticket::{Regions, place};
use pkg_definition::{AttributeValue, PropertyCheck, Queue, Region};

/// All shelves of a queue.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    offered: Regions,
    /// Of queues in which nothing must be equal for ever.
    plain: Stack,
    by_values: BTreeMap<Box<[u8]>, Stack>,
}

/// Shelves by region. A ticket that takes all regions on offer lies on one shelf and not on thirteen.
#[derive(Debug, Default)]
struct Stack {
    any: Shelf,
    by_region: [Shelf; Region::ALL.len()],
}

impl Shelves {
    pub fn new(rules: &Queue) -> Self {
        Self { offered: rules.region.regions.iter().copied().collect(), ..Self::default() }
    }

    /// Files a ticket under its regions.
    pub fn file(&mut self, waiting: &Waiting, rules: &Queue, slot: Slot) {
        if waiting.filed.is_empty() {
            return;
        }
        let values = lasting_values(waiting, rules);
        let stack = if values.is_empty() { &mut self.plain } else { self.by_values.entry(values).or_default() };
        for shelf in stack.of(waiting.filed, self.offered) {
            shelf.insert(Mark::of(waiting), slot);
        }
    }

    /// The one shelf of a queue that has only one in use.
    pub fn only(&self) -> Option<&Shelf> {
        let plain = std::iter::once(&self.plain.any).chain(&self.plain.by_region);
        let mut used = plain.filter(|shelf| !shelf.is_empty());
        used.next().filter(|_| used.next().is_none() && self.by_values.is_empty())
    }

    /// Takes all out of that one but some.
    pub fn retain_only(&mut self, keep: impl Fn(Slot) -> bool) {
        std::iter::once(&mut self.plain.any).chain(&mut self.plain.by_region).for_each(|shelf| shelf.retain(&keep));
    }

    /// Takes a ticket out that is filed.
    pub fn take(&mut self, waiting: &Waiting, rules: &Queue) {
        let values = lasting_values(waiting, rules);
        let stack = if values.is_empty() { Some(&mut self.plain) } else { self.by_values.get_mut(&values) };
        let Some(stack) = stack else { return };
        for shelf in stack.of(waiting.filed, self.offered) {
            shelf.remove(&Mark::of(waiting));
        }
        // Players choose their values: what nobody has any more must not stay.
        if !values.is_empty() && stack.is_empty() {
            self.by_values.remove(&values);
        }
    }

    /// The shelves on which a ticket finds those that take one of these regions, among its own.
    pub fn near<'a>(
        &'a self,
        waiting: &Waiting,
        rules: &Queue,
        regions: Regions,
    ) -> impl Iterator<Item = &'a Shelf> + use<'a> {
        let values = lasting_values(waiting, rules);
        let stack = if values.is_empty() { Some(&self.plain) } else { self.by_values.get(&values) };
        stack.into_iter().flat_map(move |stack| {
            let by_region = regions.iter().map(|region| &stack.by_region[place(region)]);
            std::iter::once(&stack.any).chain(by_region).filter(|shelf| !shelf.is_empty())
        })
    }
}

impl Stack {
    fn of(&mut self, filed: Regions, offered: Regions) -> impl Iterator<Item = &mut Shelf> {
        let everywhere = filed == offered;
        let (any, by_region) = (&mut self.any, &mut self.by_region);
        let own =
            Region::ALL.into_iter().zip(by_region).filter(move |(region, _)| !everywhere && filed.contains(*region));
        std::iter::once(any).filter(move |_| everywhere).chain(own.map(|(_, shelf)| shelf))
    }

    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.by_region.iter().all(Shelf::is_empty)
    }
}

/// The values of the properties that must be equal and whose rule is never dropped: tickets that differ never meet.
fn lasting_values(waiting: &Waiting, rules: &Queue) -> Box<[u8]> {
    let mut bytes = Vec::new();
    for (rule, fact) in rules.properties.iter().zip(&waiting.facts) {
        if rule.check == PropertyCheck::Equality
            && rule.drop_after.is_none()
            && let Fact::Value(value) = fact
        {
            match value {
                AttributeValue::Text(text) => push(&mut bytes, 0, text.as_str().as_bytes()),
                AttributeValue::Int(number) => push(&mut bytes, 1, &number.to_be_bytes()),
                AttributeValue::Float(number) => push(&mut bytes, 2, &(number.get() + 0.0).to_be_bytes()),
                AttributeValue::Bool(value) => push(&mut bytes, 3, &[u8::from(*value)]),
            }
        }
    }
    bytes.into()
}

/// Adds a value so that two lists are equal only if all their values are.
fn push(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&value.len().to_be_bytes());
    bytes.extend_from_slice(value);
}
