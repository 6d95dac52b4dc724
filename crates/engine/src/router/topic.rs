//! Topic patterns as a trie: words between dots, `*` for one word, `#` for any number.
//!
//! A published key walks the trie with a *set* of nodes, one step for each word, so the work
//! is words x active nodes, whatever `#` patterns exist; backtracking would be exponential
//! in the number of `#`. Every node has one parent, so a node enters the set of a step in
//! one way only, except a `#` node: it stays (one more word swallowed) and is entered anew
//! from its parent (no word swallowed yet). Only then is the set sorted and deduplicated.
//!
//! The root is there from the start; another node lives while it has targets or children.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::router::targets::{Target, Targets};

#[derive(Debug)]
pub(super) struct TopicTrie {
    nodes: Vec<Node>,
    free: Vec<NodeIndex>,
    /// All edges of all nodes, so that a node costs no map of its own.
    edges: HashMap<(NodeIndex, WordIndex), NodeIndex, FixedState>,
    /// Words of patterns, numbered, so that a key's words are hashed once each.
    words: HashMap<Box<str>, Word, FixedState>,
    free_words: Vec<WordIndex>,
    next_word: WordIndex,
}

type NodeIndex = u32;
type WordIndex = u32;

#[derive(Debug)]
struct Word {
    index: WordIndex,
    /// Edges with this word.
    count: u32,
}

#[derive(Debug)]
struct Node {
    star: NodeIndex,
    hash: NodeIndex,
    /// How many children, by word, `*` and `#` together.
    children: u32,
    is_hash: bool,
    targets: Targets,
}

/// Buffers for one walk.
#[derive(Debug, Default)]
pub(super) struct TopicScratch {
    active: Vec<NodeIndex>,
    next: Vec<NodeIndex>,
}

impl TopicTrie {
    pub(super) fn new(seed: u64) -> TopicTrie {
        TopicTrie {
            nodes: vec![Node::new(false)],
            free: Vec::new(),
            edges: HashMap::with_hasher(FixedState::with_seed(seed)),
            words: HashMap::with_hasher(FixedState::with_seed(seed)),
            free_words: Vec::new(),
            next_word: 0,
        }
    }

    pub(super) fn add(&mut self, pattern: &str, target: Target) {
        let mut at = ROOT;
        for word in words(pattern) {
            at = self.child_or_new(at, word);
        }
        self.nodes[at as usize].targets.add(target);
    }

    /// Takes one binding away, and the nodes nobody needs any more.
    pub(super) fn remove(&mut self, pattern: &str, target: Target) {
        let mut path = vec![ROOT];
        let mut at = ROOT;
        for word in words(pattern) {
            at = self.child(at, word).expect("it was bound");
            path.push(at);
        }
        self.nodes[at as usize].targets.remove(target);
        let all: Vec<&str> = words(pattern).collect();
        for (depth, word) in all.iter().enumerate().rev() {
            let node = &self.nodes[path[depth + 1] as usize];
            if node.children > 0 || !node.targets.is_empty() {
                break;
            }
            self.drop_child(path[depth], word, path[depth + 1]);
        }
    }

    /// Visits the targets of every pattern that `key` matches; one target may come several
    /// times, from several patterns.
    pub(super) fn each_match(
        &self,
        key: &str,
        scratch: &mut TopicScratch,
        mut visit: impl FnMut(Target),
    ) {
        let TopicScratch { active, next } = scratch;
        active.clear();
        self.enter(ROOT, active);
        for word in words(key) {
            let word = self.words.get(word).map(|word| word.index);
            next.clear();
            let (mut stayed, mut entered) = (false, false);
            for &index in active.iter() {
                let node = &self.nodes[index as usize];
                if node.is_hash {
                    next.push(index);
                    stayed = true;
                }
                if node.children == 0 {
                    continue;
                }
                if node.star != NONE {
                    entered |= self.enter(node.star, next);
                }
                let child = word.and_then(|word| self.edges.get(&(index, word)));
                if let Some(&child) = child {
                    entered |= self.enter(child, next);
                }
            }
            if stayed && entered {
                next.sort_unstable();
                next.dedup();
            }
            std::mem::swap(active, next);
            if active.is_empty() {
                return;
            }
        }
        for &index in active.iter() {
            self.nodes[index as usize].targets.each(&mut visit);
        }
    }

    /// Enters a node and the `#` node below it, which matches no words too. Whether there was
    /// one. `#` directly below `#` is entered as well.
    fn enter(&self, mut index: NodeIndex, set: &mut Vec<NodeIndex>) -> bool {
        set.push(index);
        let mut entered = false;
        while self.nodes[index as usize].hash != NONE {
            index = self.nodes[index as usize].hash;
            set.push(index);
            entered = true;
        }
        entered
    }

    fn child(&self, at: NodeIndex, word: &str) -> Option<NodeIndex> {
        let node = &self.nodes[at as usize];
        match word {
            "*" => Some(node.star).filter(|&child| child != NONE),
            "#" => Some(node.hash).filter(|&child| child != NONE),
            word => {
                let word = self.words.get(word)?.index;
                self.edges.get(&(at, word)).copied()
            }
        }
    }

    fn child_or_new(&mut self, at: NodeIndex, word: &str) -> NodeIndex {
        if let Some(child) = self.child(at, word) {
            return child;
        }
        let new = Node::new(word == "#");
        let child = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = new;
                index
            }
            None => {
                self.nodes.push(new);
                NodeIndex::try_from(self.nodes.len() - 1).expect("fewer than 4 billion nodes")
            }
        };
        let node = &mut self.nodes[at as usize];
        node.children += 1;
        match word {
            "*" => node.star = child,
            "#" => node.hash = child,
            word => {
                let word = self.use_word(word);
                self.edges.insert((at, word), child);
            }
        }
        child
    }

    fn drop_child(&mut self, at: NodeIndex, word: &str, child: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        node.children -= 1;
        match word {
            "*" => node.star = NONE,
            "#" => node.hash = NONE,
            word => {
                let word = self.leave_word(word);
                self.edges.remove(&(at, word));
            }
        }
        self.free.push(child);
    }

    fn use_word(&mut self, text: &str) -> WordIndex {
        if let Some(word) = self.words.get_mut(text) {
            word.count += 1;
            return word.index;
        }
        let index = self.free_words.pop().unwrap_or_else(|| {
            self.next_word += 1;
            self.next_word - 1
        });
        self.words.insert(text.into(), Word { index, count: 1 });
        index
    }

    fn leave_word(&mut self, text: &str) -> WordIndex {
        let word = self.words.get_mut(text).expect("an edge has it");
        let index = word.index;
        word.count -= 1;
        if word.count == 0 {
            self.words.remove(text);
            self.free_words.push(index);
        }
        index
    }

    /// Nodes besides the root, edges and words in use.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize, usize) {
        let nodes = self.nodes.len() - self.free.len() - 1;
        (nodes, self.edges.len(), self.words.len())
    }
}

impl Node {
    fn new(is_hash: bool) -> Node {
        Node {
            star: NONE,
            hash: NONE,
            children: 0,
            is_hash,
            targets: Targets::None,
        }
    }
}

/// As RabbitMQ splits: the empty key has no words, `a.` has two.
pub(super) fn words(key: &str) -> impl Iterator<Item = &str> {
    let count = if key.is_empty() { 0 } else { usize::MAX };
    key.split('.').take(count)
}

const ROOT: NodeIndex = 0;
/// The root is nobody's child.
const NONE: NodeIndex = ROOT;

#[cfg(test)]
mod tests;
