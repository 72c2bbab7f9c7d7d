//! Where the waiting tickets of a queue lie in memory.
//!
//! In pages that stay where they are: a queue that grows moves no ticket, and has no room for twice as many.

use super::waiting::Waiting;

/// Where a ticket lies in the memory of its queue. Never an order: it hangs on who came and went before.
pub(super) type Slot = usize;

/// How many tickets a page has.
const PAGE: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// All but the last have their full length.
    pages: Vec<Vec<Option<Waiting>>>,
    free: Vec<Slot>,
}

impl Slots {
    pub fn get(&self, slot: Slot) -> Option<&Waiting> {
        self.pages.get(slot / PAGE)?.get(slot % PAGE)?.as_ref()
    }

    /// A slot for a ticket that is to be put there.
    pub fn open(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.len();
        if slot.is_multiple_of(PAGE) {
            self.pages.push(Vec::new());
        }
        self.pages[slot / PAGE].push(None);
        slot
    }

    pub fn put(&mut self, slot: Slot, waiting: Waiting) {
        self.pages[slot / PAGE][slot % PAGE] = Some(waiting);
    }

    /// Takes out what lies in a slot. Something is put there again, or it is [`Self::free`] then.
    pub fn take(&mut self, slot: Slot) -> Option<Waiting> {
        self.pages.get_mut(slot / PAGE)?.get_mut(slot % PAGE)?.take()
    }

    /// Lets others have slots from which was taken.
    pub fn free(&mut self, slots: impl IntoIterator<Item = Slot>) {
        self.free.extend(slots);
    }

    fn len(&self) -> usize {
        let full = self.pages.len().saturating_sub(1) * PAGE;
        full + self.pages.last().map_or(0, Vec::len)
    }
}
