//! The keys of a tree in order. Unlike a scan of the database this passes no removed rows, however many there were.

use super::Tree;
use super::node::Node;
use crate::Order;

/// The keys of a tree from one bound to the other, lazily.
pub(crate) struct Keys<'a> {
    /// What is still to be visited, the next on top.
    stack: Vec<Node<'a>>,
    /// The bound at which it ends: the first key that is not wanted ascending, the last that is descending.
    until: Option<Vec<u8>>,
    order: Order,
}

impl Tree {
    /// The keys with `start <= key < end`; `None` is unbounded.
    pub(crate) fn keys(&self, start: Option<&[u8]>, end: Option<&[u8]>, order: Order) -> Keys<'_> {
        let (from, until) = match order {
            Order::Ascending => (start, end),
            Order::Descending => (end, start),
        };
        let mut keys = Keys { stack: Vec::new(), until: until.map(<[u8]>::to_vec), order };
        let mut next = self.node();
        while let Some(node) = next {
            next = match (node.children(), from) {
                // An inner node's key is the smallest on its right.
                (Some((left, right)), Some(from)) => match order {
                    Order::Ascending if from < node.key() => {
                        keys.stack.push(right);
                        Some(left)
                    }
                    Order::Ascending => Some(right),
                    Order::Descending if from <= node.key() => Some(left),
                    Order::Descending => {
                        keys.stack.push(left);
                        Some(right)
                    }
                },
                (None, Some(from)) if (node.key() >= from) != (order == Order::Ascending) => None,
                _ => {
                    keys.stack.push(node);
                    None
                }
            };
        }
        keys
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut node = self.stack.pop()?;
        while let Some((left, right)) = node.children() {
            let (first, second) = match self.order {
                Order::Ascending => (left, right),
                Order::Descending => (right, left),
            };
            self.stack.push(second);
            node = first;
        }
        let key = node.key();
        let over = self.until.as_deref().is_some_and(|until| (key < until) != (self.order == Order::Ascending));
        if over {
            self.stack.clear();
            return None;
        }
        Some(key)
    }
}
