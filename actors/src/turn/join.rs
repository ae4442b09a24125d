//! Branches: effects of one turn that go on side by side.

use std::{marker::PhantomData, pin::Pin, sync::atomic::Ordering};

use futures_util::future::join_all;

use super::{Turn, TurnError};

/// One branch of a [`Turn::join`]: what it does with a turn of its own.
pub type Branch<'a, K, T> = Box<
    dyn FnOnce(Turn<K>) -> Pin<Box<dyn Future<Output = Result<T, TurnError>> + Send + 'a>>
        + Send
        + 'a,
>;

impl<K: Send + Sync> Turn<K> {
    /// Does `branches` side by side and gives their answers in order.
    ///
    /// Each branch has a turn of its own, with its own names and its own order of effects: which of them is faster does not
    /// matter to a replay. If one fails, the others are let come to an end, and the first error is given.
    ///
    /// After a crash, a turn one of whose branches waits for something goes on when that is there.
    ///
    /// ```no_run
    /// # use soloist_actors::{ReadOnly, Turn, TurnError};
    /// # async fn both(turn: Turn<ReadOnly>) -> Result<(), TurnError> {
    /// let [account, notes]: [serde_json::Value; 2] = turn
    ///     .join([
    ///         Box::new(|turn| Box::pin(async move { turn.call("billing.account_status", &()).await })),
    ///         Box::new(|turn| Box::pin(async move { turn.call("crm.contact", &()).await })),
    ///     ])
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the first branch, in order, that has one.
    pub async fn join<'a, T: Send + 'a, const N: usize>(
        &self,
        branches: [Branch<'a, K, T>; N],
    ) -> Result<[T; N], TurnError>
    where
        K: 'a,
    {
        let answers = self.join_all(branches.into_iter().collect()).await?;
        Ok(answers.try_into().unwrap_or_else(|_| unreachable!("each branch gives one answer")))
    }

    /// [`join`](Self::join) for any number of branches.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub async fn join_all<'a, T: Send + 'a>(
        &self,
        branches: Vec<Branch<'a, K, T>>,
    ) -> Result<Vec<T>, TurnError>
    where
        K: 'a,
    {
        let count = branches.len();
        if count == 0 {
            return Ok(vec![]);
        }
        let names = self.branches(count);
        self.inner.busy.fetch_add(count, Ordering::AcqRel);
        let running = branches.into_iter().zip(names).map(|(branch, name)| {
            let turn = Self { inner: self.inner.clone(), branch: name.into(), kind: PhantomData };
            let future = branch(turn.clone());
            async move {
                let answer = future.await;
                turn.rests();
                answer
            }
        });
        self.rests();
        let answers = join_all(running).await;
        self.works();
        answers.into_iter().collect()
    }

    /// The names of the branches of the next join: `0`, `1`, … for the first, and on from there for the next.
    fn branches(&self, count: usize) -> Vec<String> {
        let mut joins = self.inner.joins.lock().expect("counting does not panic");
        let next = joins.entry(self.branch.to_string()).or_insert(0);
        let first = *next;
        *next += u32::try_from(count).unwrap_or(u32::MAX);
        let name = |index: u32| match &*self.branch {
            "" => index.to_string(),
            branch => format!("{branch}.{index}"),
        };
        (first..*next).map(name).collect()
    }
}
