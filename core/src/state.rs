//! The hand-over of a workflow's state at `.await` (API.md §4).
//!
//! Between two awaits a body owns the state through a plain `&mut S`; at each await it parks the state in the
//! execution's [`Slot`], where signals and queries can reach it, and takes it back afterwards. All of it is safe code:
//! the state moves in and out of a cell, and rustc refuses a reference that is kept across an await.

use crate::exec::context;
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

const IN_USE: &str = "AB0118: the workflow's state is in use: a macro of another crate hid an `.await` from \
                      `#[workflow]`; write it out, or await outside of the macro";

/// Where an execution's state lies while no body holds it.
pub struct Slot<S> {
    state: Rc<RefCell<Option<Box<S>>>>,
    address: usize,
}

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self { state: Rc::clone(&self.state), address: self.address }
    }
}

impl<S: 'static> Slot<S> {
    /// A slot that holds `state`.
    pub fn new(state: S) -> Self {
        let boxed = Box::new(state);
        let address = std::ptr::from_ref::<S>(&boxed) as usize;
        Self { state: Rc::new(RefCell::new(Some(boxed))), address }
    }

    /// Looks at the parked state; `None` where a body holds it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&S) -> R) -> Option<R> {
        self.state.borrow().as_deref().map(f)
    }

    /// Changes the parked state; `None` where a body holds it. The state stays out of the cell meanwhile, so that
    /// even a handler that reaches for it again meets an error and no double borrow.
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(&mut S) -> R) -> Option<R> {
        let mut this = This::of(self.clone());
        this.take().then(|| f(this.held.as_deref_mut().expect("taken just now")))
    }
}

/// A body's hold on the state: created once per body, parked at each await, put back when dropped.
pub struct This<S> {
    slot: Slot<S>,
    held: Option<Box<S>>,
}

impl<S: 'static> This<S> {
    /// A hold on the state in `slot`, which stays there until [`This::resume`].
    pub fn of(slot: Slot<S>) -> Self {
        Self { slot, held: None }
    }

    /// The hold of a helper method called as `self.helper()`: the state must be this execution's own.
    ///
    /// # Panics
    /// Where `state` is another value than the running execution's state: the executor suspends with `AB0118`.
    pub fn current(state: &S) -> Self {
        let address = std::ptr::from_ref(state) as usize;
        let slot = context::current().and_then(|ctx| ctx.slot::<S>()).filter(|slot| slot.address == address);
        match slot {
            Some(slot) => Self::of(slot),
            None => panic!(
                "AB0118: `{}` is not this execution's state: async methods of a workflow can only be called on `self`",
                std::any::type_name::<S>()
            ),
        }
    }

    /// The slot, for async blocks that use `self`.
    pub fn slot(&self) -> Slot<S> {
        self.slot.clone()
    }

    /// Takes the state.
    ///
    /// # Panics
    /// Where another body holds it: the executor suspends with `AB0118`.
    pub fn resume(&mut self) -> &mut S {
        assert!(self.held.is_some() || self.take(), "{IN_USE}");
        self.held.as_deref_mut().expect("taken just now")
    }

    /// Puts the state into the slot for the time of one await.
    pub fn park(&mut self) -> Parked<'_, S> {
        self.put_back();
        Parked { this: self }
    }

    fn take(&mut self) -> bool {
        self.held = self.slot.state.borrow_mut().take();
        if let Some(ctx) = context::current().filter(|_| self.held.is_some()) {
            ctx.note_progress();
        }
        self.held.is_some()
    }
}

impl<S> This<S> {
    fn put_back(&mut self) {
        if let Some(state) = self.held.take() {
            *self.slot.state.borrow_mut() = Some(state);
        }
    }
}

impl<S> Drop for This<S> {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// The state is parked: one await is under way.
pub struct Parked<'a, S> {
    this: &'a mut This<S>,
}

impl<'a, S: 'static> Parked<'a, S> {
    /// Takes the state back after the await.
    ///
    /// # Panics
    /// As [`This::resume`].
    pub fn resume(self) -> &'a mut S {
        self.this.resume()
    }
}

/// A slot whose type is known to its owner only.
pub(crate) fn erase<S: 'static>(slot: &Slot<S>) -> Box<dyn Any> {
    Box::new(slot.clone())
}
