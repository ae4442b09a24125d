//! The live tree, as it can be looked at: who is there, how it is, what it does, and what lately happened to it.
//!
//! Supervisors write it down as they act; whoever looks asks no actor. So the tree can be shown when nothing answers any
//! more, which is when one wants to see it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use ractor::ActorCell;
use serde::Serialize;
use soloist_connectors::Env;
use soloist_kernel::time::Timestamp;

use crate::{
    actor::Mailbox,
    supervisor::{Restart, Strategy},
};

/// Supervision events that are kept to be shown: a bad hour's worth.
const EVENTS_MAX: usize = 500;

/// Members of one actor that are shown by name; the rest is counted.
pub(crate) const MEMBERS_MAX: usize = 100;

/// An actor of the tree, with those beneath it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeNode {
    /// Its name among its siblings.
    pub name: String,
    /// `supervisor` or `actor`.
    pub kind: &'static str,
    /// For a supervisor: `one_for_one`, `one_for_all` or `rest_for_one`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<&'static str>,
    /// `permanent`, `transient` or `temporary`.
    pub restart: &'static str,
    /// `starting`, `running`, `waiting` (to be restarted), `stopped` or `gave_up`.
    pub state: &'static str,
    /// How often it was restarted.
    pub restarts: u64,
    /// Messages that wait for it.
    pub mailbox: usize,
    /// What it does now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// How it last ended, if it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it says of itself: a connector its breaker and its line, …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub status: BTreeMap<&'static str, String>,
    /// Actors and turns that come and go beneath it, of which the first are among the children.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
    /// Those beneath it, in the order they start.
    pub children: Vec<TreeNode>,
}

/// Something that happened in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeEvent {
    /// When.
    pub at: Timestamp,
    /// To whom: `soloist/connectors/mail`.
    pub path: String,
    /// `started`, `ended`, `failed: …`, `restarts in 50 ms`, `gave up`, …
    pub what: String,
}

/// What an actor tells of itself while it lives.
pub(crate) trait Tells: Send + Sync {
    /// In a word or two each.
    fn status(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::new()
    }

    /// Who comes and goes beneath it: how many, and up to `limit` of them.
    fn members(&self, limit: usize) -> Option<(usize, Vec<TreeNode>)> {
        let _ = limit;
        None
    }
}

/// The tree of one kernel.
pub(crate) struct Tree {
    env: Env,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    nodes: BTreeMap<u64, Node>,
    last: u64,
    events: VecDeque<TreeEvent>,
}

struct Node {
    parent: Option<u64>,
    /// Children are made in the order they start, and their numbers grow.
    children: BTreeSet<u64>,
    name: String,
    strategy: Option<Strategy>,
    restart: Restart,
    state: &'static str,
    restarts: u64,
    problem: Option<String>,
    living: Option<(ActorCell, Arc<Mailbox>)>,
}

/// Where someone is in the tree.
#[derive(Clone)]
pub(crate) struct Spot {
    tree: Arc<Tree>,
    id: u64,
}

/// A child's place in the tree. It is there as long as its supervisor holds this, over every restart.
pub(crate) struct Place(Spot);

impl Tree {
    pub(crate) fn new(env: Env) -> Arc<Self> {
        Arc::new(Self { env, inner: Mutex::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("writing the tree down does not panic")
    }

    /// The place of the root.
    pub(crate) fn root(self: &Arc<Self>, name: &str, strategy: Strategy) -> Place {
        self.place(None, name, Some(strategy), Restart::Temporary)
    }

    fn place(
        self: &Arc<Self>,
        parent: Option<u64>,
        name: &str,
        strategy: Option<Strategy>,
        restart: Restart,
    ) -> Place {
        let mut inner = self.inner();
        inner.last += 1;
        let id = inner.last;
        let node = Node {
            parent,
            children: BTreeSet::new(),
            name: name.to_owned(),
            strategy,
            restart,
            state: "starting",
            restarts: 0,
            problem: None,
            living: None,
        };
        inner.nodes.insert(id, node);
        if let Some(parent) = parent.and_then(|parent| inner.nodes.get_mut(&parent)) {
            parent.children.insert(id);
        }
        Place(Spot { tree: self.clone(), id })
    }

    /// The tree from its root; `None` before it has started.
    pub(crate) fn view(&self) -> Option<TreeNode> {
        let (root, tellers) = {
            let inner = self.inner();
            let (id, _) = inner.nodes.iter().find(|(_, node)| node.parent.is_none())?;
            let mut tellers = BTreeMap::new();
            (inner.view(*id, &mut vec![], &mut tellers), tellers)
        };
        // Asked without the lock: what they tell takes locks of their own.
        Some(complete(root, &mut vec![], &tellers))
    }

    /// What lately happened, oldest first.
    pub(crate) fn events(&self) -> Vec<TreeEvent> {
        self.inner().events.iter().cloned().collect()
    }

    /// The paths of the living actors, each supervisor before those beneath it.
    pub(crate) fn living(&self) -> Vec<String> {
        let inner = self.inner();
        let living = inner.nodes.iter().filter(|(_, node)| node.living.is_some());
        living.map(|(id, _)| inner.path(*id)).collect()
    }

    /// Whether an actor lives at `path`.
    pub(crate) fn lives(&self, path: &str) -> bool {
        self.inner().living_at(path).is_some()
    }

    /// Who comes and goes beneath the actor at `path`.
    pub(crate) fn members(&self, path: &str) -> Vec<TreeNode> {
        self.teller(path).and_then(|tells| tells.members(usize::MAX)).unwrap_or_default().1
    }

    /// What the actor at `path` tells of itself.
    pub(crate) fn status(&self, path: &str) -> BTreeMap<&'static str, String> {
        self.teller(path).map(|tells| tells.status()).unwrap_or_default()
    }

    /// Who tells of the actor at `path`: to be asked without the lock, as in `view`.
    fn teller(&self, path: &str) -> Option<Arc<dyn Tells>> {
        let inner = self.inner();
        let node = inner.nodes.get(&inner.living_at(path)?)?;
        node.living.as_ref()?.1.tells()
    }

    /// Asks the actor at `path` to stop, as it does when it has nothing more to do. Returns whether it was there.
    pub(crate) fn stop(&self, path: &str) -> bool {
        let inner = self.inner();
        let Some(id) = inner.living_at(path) else { return false };
        if let Some((cell, _)) = &inner.nodes[&id].living {
            cell.stop(None);
        }
        true
    }

    /// Kills the actor at `path` and those beneath it, the last started first: ractor would do it in an order of its own.
    /// Returns whether it was there.
    pub(crate) fn kill(&self, path: &str) -> bool {
        let mut doomed = vec![];
        let inner = self.inner();
        let Some(id) = inner.living_at(path) else { return false };
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            let Some(node) = inner.nodes.get(&next) else { continue };
            doomed.extend(node.living.clone());
            open.extend(&node.children);
        }
        drop(inner);
        for (cell, _) in doomed.into_iter().rev() {
            cell.kill();
        }
        true
    }
}

type Tellers = BTreeMap<Vec<usize>, Arc<dyn Tells>>;

fn complete(mut node: TreeNode, at: &mut Vec<usize>, tellers: &Tellers) -> TreeNode {
    for (index, child) in node.children.iter_mut().enumerate() {
        at.push(index);
        *child = complete(std::mem::replace(child, blank()), at, tellers);
        at.pop();
    }
    if let Some(tells) = tellers.get(at) {
        node.status = tells.status();
        if let Some((count, members)) = tells.members(MEMBERS_MAX) {
            node.members = Some(count);
            node.children.extend(members);
        }
    }
    node
}

fn blank() -> TreeNode {
    TreeNode::member(String::new(), "", 0, None)
}

impl TreeNode {
    /// The tree before it has started or after it was stopped.
    pub(crate) fn gone() -> Self {
        Self { kind: "supervisor", ..Self::member("soloist".into(), "stopped", 0, None) }
    }

    /// How many runs are active in the tree whose root this is.
    pub(crate) fn active_runs(&self) -> usize {
        let runs = self.children.iter().find(|child| child.name == "runs");
        runs.and_then(|runs| runs.members).unwrap_or_default()
    }

    /// Someone who comes and goes beneath an actor.
    pub(crate) fn member(
        name: String,
        state: &'static str,
        mailbox: usize,
        work: Option<String>,
    ) -> Self {
        Self {
            name,
            kind: "actor",
            strategy: None,
            restart: Restart::Transient.word(),
            state,
            restarts: 0,
            mailbox,
            work,
            problem: None,
            status: BTreeMap::new(),
            members: None,
            children: vec![],
        }
    }
}

impl Inner {
    fn living_at(&self, path: &str) -> Option<u64> {
        let mut living = self.nodes.iter().filter(|(_, node)| node.living.is_some());
        living.find(|(id, _)| self.path(**id) == path).map(|(id, _)| *id)
    }

    fn path(&self, id: u64) -> String {
        let mut names = vec![];
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.nodes.get(&id)) {
            names.push(node.name.as_str());
            next = node.parent;
        }
        names.reverse();
        names.join("/")
    }

    fn view(&self, id: u64, at: &mut Vec<usize>, tellers: &mut Tellers) -> TreeNode {
        let node = &self.nodes[&id];
        let mut children = vec![];
        for (index, child) in node.children.iter().enumerate() {
            at.push(index);
            children.push(self.view(*child, at, tellers));
            at.pop();
        }
        let mailbox = node.living.as_ref().map(|(_, mailbox)| mailbox);
        if let Some(tells) = mailbox.and_then(|mailbox| mailbox.tells()) {
            tellers.insert(at.clone(), tells);
        }
        TreeNode {
            name: node.name.clone(),
            kind: if node.strategy.is_some() { "supervisor" } else { "actor" },
            strategy: node.strategy.map(Strategy::word),
            restart: node.restart.word(),
            state: node.state,
            restarts: node.restarts,
            mailbox: mailbox.map_or(0, |mailbox| mailbox.depth()),
            work: mailbox.and_then(|mailbox| mailbox.work()).map(str::to_owned),
            problem: node.problem.clone(),
            status: BTreeMap::new(),
            members: None,
            children,
        }
    }

    fn note(&mut self, at: Timestamp, id: u64, what: String) {
        let path = self.path(id);
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(TreeEvent { at, path, what });
    }
}

impl Spot {
    pub(crate) fn path(&self) -> String {
        self.tree.inner().path(self.id)
    }

    /// The world of the tree.
    pub(crate) fn env(&self) -> Env {
        self.tree.env.clone()
    }

    /// The place of a new child of whoever is here.
    pub(crate) fn place(&self, name: &str, strategy: Option<Strategy>, restart: Restart) -> Place {
        self.tree.place(Some(self.id), name, strategy, restart)
    }

    fn write(&self, what: impl Into<String>, change: impl FnOnce(&mut Node)) {
        let at = self.tree.env.now();
        let mut inner = self.tree.inner();
        if let Some(node) = inner.nodes.get_mut(&self.id) {
            change(node);
            inner.note(at, self.id, what.into());
        }
    }
}

impl Place {
    pub(crate) fn spot(&self) -> &Spot {
        &self.0
    }

    /// What tells it from every other place.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// The child lives.
    pub(crate) fn started(&self, cell: ActorCell, mailbox: Arc<Mailbox>) {
        self.0.write("started", |node| {
            node.state = "running";
            node.living = Some((cell, mailbox));
        });
    }

    /// The child has ended. Tells what it was doing, if it was doing something.
    pub(crate) fn ended(&self, problem: Option<&str>) -> Option<&'static str> {
        let mut work = None;
        let what = problem.map_or_else(|| "ended".into(), |problem| format!("failed: {problem}"));
        self.0.write(what, |node| {
            node.state = "stopped";
            node.problem = problem.map(str::to_owned);
            work = node.living.take().and_then(|(_, mailbox)| mailbox.work());
        });
        work
    }

    /// The child will start again.
    pub(crate) fn restarts(&self, after: Duration) {
        self.0.write(format!("restarts in {} ms", after.as_millis()), |node| {
            node.state = "waiting";
            node.restarts += 1;
        });
    }

    /// Nobody restarts it any more.
    pub(crate) fn gave_up(&self, problem: &str) {
        self.0.write(format!("gave up: {problem}"), |node| {
            node.state = "gave_up";
            node.problem = Some(problem.to_owned());
            node.living = None;
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Spot { tree, id } = &self.0;
        let mut inner = tree.inner();
        let parent = inner.nodes.remove(id).and_then(|node| node.parent);
        if let Some(parent) = parent.and_then(|parent| inner.nodes.get_mut(&parent)) {
            parent.children.remove(id);
        }
    }
}
