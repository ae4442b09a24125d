//! Retention: moves runs that have been over for long into segment files.
//!
//! A run goes with all runs beneath it, and only if nothing will happen in any of them any more and nobody is asked about
//! them. The journal copies them first; then one durable record takes them out, with their rows. What goes on meanwhile stays.
//! There is one of this actor, so segments are sealed one after the other.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    id::{Actor as Who, RunId},
    journal::{
        Append, AppendError, Journal, ProjectionKey, ReadError,
        archive::{self, SealError, SegmentId, Selection},
    },
    payload::Digest,
    run::{
        ArchivedRun, RunSummary, is_archivable,
        project::{ACTIVE, ENDED, FINISHED},
    },
    time::Timestamp,
};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    handle::Soloist,
    run::by_whom,
    views::{self, each_row},
};

/// Most runs in a segment. Their ids are in the record of it.
const RUNS_MAX: usize = 10_000;

/// Most records in a segment, but for a single run with more: what leaves the journal at once is one batch.
const RECORDS_MAX: u64 = 100_000;

/// How often it looks for runs that are old enough, if it is to. Retention is counted in days.
const LOOK_AGAIN: Duration = Duration::from_secs(6 * 3_600);

/// Longest part of a run's id that the ids of the runs beneath it begin with.
const STEM_BYTES: usize = 60;

/// Rows read at a time.
const PAGE: usize = 256;

/// What was archived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Runs, those beneath others included.
    pub runs: u64,
    /// Their records.
    pub records: u64,
    /// The segment files, oldest first.
    pub segments: Vec<String>,
}

/// Why nothing, or not all, was archived. What was not stays where it is.
#[derive(Debug, Error)]
pub enum ArchiveRunsError {
    /// No age was given, and none is configured.
    #[error(
        "say how old runs must be, as in `soloist archive run --older-than 30d`, or set `after` under `[retention]`"
    )]
    NoAge,
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The segment was not written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The journal did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The actor is restarting, or the kernel has halted.
    #[error("it may or may not have been archived: {0}; archive again, which is safe")]
    Halted(String),
}

/// What the actor is told.
pub(crate) enum Message {
    /// Archive what has been over for `older_than`, or for as long as is configured.
    Archive {
        older_than: Option<Duration>,
        by: Who,
        reply: oneshot::Sender<Result<Archived, ArchiveRunsError>>,
    },
    /// The time to look has come.
    Look,
}

pub(crate) struct RetentionActor {
    me: Address<Message>,
    context: Arc<Context>,
}

impl Behaviour for RetentionActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(_message: &Message) -> &'static str {
        "archive what is over"
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        context.registry.set_retention(me.clone());
        if context.retention.is_some() {
            me.send(Message::Look)?;
        }
        Ok(Self { me, context })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Archive { older_than, by, reply } => {
                let result = match older_than.or(self.context.retention) {
                    Some(age) => self.archive(age, &by).await,
                    None => Err(ArchiveRunsError::NoAge),
                };
                let _ = reply.send(result);
            }
            Message::Look => {
                if let Some(age) = self.context.retention.filter(|_| !self.context.is_draining()) {
                    match self.archive(age, &Who::kernel()).await {
                        Ok(Archived { runs: 0, .. }) => {}
                        Ok(Archived { runs, records, .. }) => {
                            tracing::info!(runs, records, "archived what was over for long");
                        }
                        Err(error) => {
                            tracing::warn!(%error, "failed to archive; it is tried again");
                        }
                    }
                    self.me.send_after(LOOK_AGAIN, || Message::Look);
                }
            }
        }
        Ok(())
    }
}

impl RetentionActor {
    async fn archive(&self, age: Duration, by: &Who) -> Result<Archived, ArchiveRunsError> {
        let now = self.context.env.now();
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let Some(before) = now.0.checked_sub(age).map(Timestamp) else {
            return Ok(Archived::default());
        };
        let mut archived = Archived::default();
        let mut seek = Seek { before, after: String::new(), busy: BTreeSet::new() };
        loop {
            let batch = self.gather(&mut seek).await?;
            if batch.runs.is_empty() {
                return Ok(archived);
            }
            self.take_out(batch, by, &mut archived, &mut seek.busy).await?;
        }
    }

    /// The next runs that may go, as many as a segment holds.
    async fn gather(&self, seek: &mut Seek) -> Result<Batch, ArchiveRunsError> {
        let journal = &*self.context.journal;
        let mut batch = Batch::default();
        loop {
            let page = journal.projections(FINISHED, "", &seek.after, PAGE)?;
            if page.is_empty() {
                return Ok(batch);
            }
            for (key, bytes) in page {
                let family = match serde_json::from_slice::<RunSummary>(&bytes) {
                    Ok(top) if seek.is_due(&top) => self.family(top, seek.before)?,
                    _ => None,
                };
                if let Some(family) = family {
                    let full = !batch.runs.is_empty()
                        && (batch.runs.len() + family.runs.len() > RUNS_MAX
                            || batch.records + family.records > RECORDS_MAX);
                    if full {
                        return Ok(batch);
                    }
                    batch.add(family);
                    // Others go on between one run and the next.
                    self.context.env.perturb().await;
                    tokio::task::yield_now().await;
                }
                seek.after = key;
            }
        }
    }

    /// `top` with the runs beneath it, if all of them may go.
    fn family(&self, top: RunSummary, before: Timestamp) -> Result<Option<Batch>, ReadError> {
        let journal = &*self.context.journal;
        let mut members = vec![top.run.clone()];
        for run in beneath(journal, &top.run)? {
            match run {
                Beneath::Over(summary) if summary.updated_at <= before => members.push(summary.run),
                Beneath::Over(_) | Beneath::Active => return Ok(None),
            }
        }
        let library = self.context.library();
        let mut family = Batch::default();
        for id in members {
            if views::set_aside(journal, &id)?.is_some() {
                return Ok(None);
            }
            let used = RefCell::new(vec![]);
            let fetch = |digest: &Digest| {
                used.borrow_mut().push(*digest);
                journal.blob(digest)
            };
            let Some(run) = views::fold_with(journal, &id, None, &library, &fetch)? else {
                return Ok(None);
            };
            if !is_archivable(&run) {
                return Ok(None);
            }
            family.blobs.extend(used.take());
            family.records += run.stream_seq.0;
            // The end of a run beneath that was not taken in is wanted by nobody now.
            each_row(journal, ENDED, &format!("{id}/"), |key, _| {
                family.gone.push(ProjectionKey::new(ENDED, key));
                Ok::<_, ReadError>(())
            })?;
            family.tops.insert(id, top.run.clone());
            family.runs.push(ArchivedRun::of(&run, SegmentId(0)));
        }
        Ok(Some(family))
    }

    /// Has the journal copy `batch`, and takes it out. Runs that went on meanwhile are noted in `busy` and stay, with all
    /// that would have gone with them: the others are sought again.
    async fn take_out(
        &self,
        batch: Batch,
        by: &Who,
        archived: &mut Archived,
        busy: &mut BTreeSet<RunId>,
    ) -> Result<(), ArchiveRunsError> {
        let Batch { mut runs, mut tops, mut blobs, mut gone, .. } = batch;
        while !runs.is_empty() {
            let streams = runs.iter().map(|run| run.summary.run.stream()).collect();
            let of = Selection { streams, blobs: blobs.iter().copied().collect() };
            let segment = self.seal(of).await?;
            let (id, records) = (segment.id, segment.stubs.len() as u64);
            let after = self.context.journal.stream_head(&archive::stream())?;
            let now = self.context.env.now();
            let mut append = archive::append_of(segment, after, now, by.clone());
            project(&runs, id, &gone, &mut append);
            match self.context.log.durable(append).await {
                Ok(_) => {
                    archived.runs += runs.len() as u64;
                    archived.records += records;
                    archived.segments.push(id.file());
                    return Ok(());
                }
                Err(AppendError::Conflict { stream, .. }) => {
                    let went_on = tops.iter().find(|(run, _)| run.stream() == stream);
                    let Some(top) = went_on.map(|(_, top)| top.clone()) else { return Ok(()) };
                    runs.retain(|run| tops[&run.summary.run] != top);
                    gone.retain(|key| !belongs(key, &tops, &top));
                    tops.retain(|_, other| *other != top);
                    // Of which run each is, is not known: those that others still use stay anyway.
                    blobs.clear();
                    busy.insert(top);
                }
                Err(error) => {
                    if let AppendError::Stopped(stopped) = &error {
                        self.context.halt(&stopped.to_string());
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    async fn seal(&self, of: Selection) -> Result<archive::Segment, ArchiveRunsError> {
        let (told, sealed) = oneshot::channel();
        self.context.journal.seal(of, Box::new(move |answer| drop(told.send(answer))));
        let gone = || ArchiveRunsError::Halted("whoever copies it is gone".into());
        Ok(sealed.await.map_err(|_| gone())??)
    }
}

/// Where the search for runs is.
struct Seek {
    /// When the last thing must have happened in a run.
    before: Timestamp,
    /// The row that was looked at last.
    after: String,
    /// Runs that went on while they were copied.
    busy: BTreeSet<RunId>,
}

impl Seek {
    /// Whether `run` is one that may go by itself, by its row.
    fn is_due(&self, run: &RunSummary) -> bool {
        run.parent.is_none() && run.updated_at <= self.before && !self.busy.contains(&run.run)
    }
}

/// Runs that go together.
#[derive(Default)]
struct Batch {
    runs: Vec<ArchivedRun>,
    /// The topmost run of each.
    tops: BTreeMap<RunId, RunId>,
    records: u64,
    blobs: BTreeSet<Digest>,
    gone: Vec<ProjectionKey>,
}

impl Batch {
    fn add(&mut self, family: Self) {
        let Self { runs, tops, records, blobs, gone } = family;
        self.runs.extend(runs);
        self.tops.extend(tops);
        self.records += records;
        self.blobs.extend(blobs);
        self.gone.extend(gone);
    }
}

fn belongs(key: &ProjectionKey, tops: &BTreeMap<RunId, RunId>, top: &RunId) -> bool {
    let parent = key.key.split('/').next().and_then(|parent| RunId::new(parent).ok());
    parent.is_some_and(|parent| tops.get(&parent) == Some(top))
}

fn project(runs: &[ArchivedRun], segment: SegmentId, gone: &[ProjectionKey], append: &mut Append) {
    let rows = runs.iter().flat_map(|run| run.clone().in_segment(segment).project());
    append.projections.extend(rows);
    append.projections.extend(gone.iter().map(|key| (key.clone(), None)));
}

/// A run beneath another.
enum Beneath {
    Active,
    Over(RunSummary),
}

/// The runs beneath `top`, at any depth. Their ids begin with that of `top`, and their rows say whom they are beneath.
fn beneath(journal: &dyn Journal, top: &RunId) -> Result<Vec<Beneath>, ReadError> {
    let stem = &top.as_str()[..top.as_str().len().min(STEM_BYTES)];
    let mut candidates = vec![];
    for table in [ACTIVE, FINISHED] {
        each_row(journal, table, &format!("{stem}."), |_, bytes| {
            if let Ok(summary) = serde_json::from_slice::<RunSummary>(bytes) {
                candidates.push((table, summary));
            }
            Ok::<_, ReadError>(())
        })?;
    }
    let mut family = BTreeSet::from([top.clone()]);
    let mut found = vec![];
    loop {
        let before = found.len();
        let of_family = |(_, summary): &mut (&str, RunSummary)| {
            summary.parent.as_ref().is_some_and(|parent| family.contains(parent))
        };
        let next: Vec<_> = candidates.extract_if(.., of_family).collect();
        for (table, summary) in next {
            family.insert(summary.run.clone());
            found.push(if table == ACTIVE { Beneath::Active } else { Beneath::Over(summary) });
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

impl Soloist {
    /// Moves runs that have been over for `older_than` into segment files of the data directory: those in which nothing will
    /// happen any more, with the runs beneath them. `None` is as long as is configured.
    ///
    /// # Errors
    ///
    /// [`ArchiveRunsError`]; what was not archived stays where it is.
    pub async fn archive(
        &self,
        older_than: Option<Duration>,
    ) -> Result<Archived, ArchiveRunsError> {
        self.archive_as(older_than, "operator").await
    }

    /// [`archive`](Self::archive) for someone else, whose name is in the record.
    ///
    /// # Errors
    ///
    /// As [`archive`](Self::archive).
    pub async fn archive_as(
        &self,
        older_than: Option<Duration>,
        by: &str,
    ) -> Result<Archived, ArchiveRunsError> {
        let restarting = || ArchiveRunsError::Halted("the actor is restarting".into());
        let (reply, answer) = oneshot::channel();
        let retention = self.context().registry.retention().ok_or_else(restarting)?;
        let by = by_whom(by);
        retention.send(Message::Archive { older_than, by, reply }).map_err(|_| restarting())?;
        answer.await.unwrap_or_else(|_| Err(restarting()))
    }
}
