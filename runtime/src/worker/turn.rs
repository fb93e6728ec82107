//! From inputs to a turn: the thread polls a run's code, and submits what came of it.

use super::compose;
use super::inputs::Taken;
use super::mailbox::StartReply;
use super::names::Names;
use super::run::{BASE_BYTES, Live, Run};
use super::thread::Thread;
#[cfg(feature = "testing")]
use super::verify;
use crate::store::NewExecution;
use abide_core::ExecutionId;
use abide_core::exec::{Execution, Input, Turn};

impl Thread {
    /// Starts a run that this worker owns from the beginning (PROTOCOL 3).
    pub(super) fn start(&mut self, mut new: NewExecution, reply: StartReply) {
        let Some(workflow) = self.session.registry.workflow_type(&new.workflow_type) else {
            let _ = reply.send(Ok(None));
            return;
        };
        // The start is a retry whose first answer was lost. The run was claimed meanwhile, and lives here. The
        // store knows the answer.
        if self.runs.contains_key(&new.id) && !mutant!(StartOverLive) {
            return drop(reply.send(Ok(None)));
        }
        let names = Names::from(&new);
        let mut exec = Execution::new(workflow, names.info(), self.knows());
        exec.lend(self.lends());
        exec.chain_ends(new.terms.chain_by_ms);
        let input = match abide_core::Payload::from_json(new.input.clone()) {
            Ok(input) => input,
            Err(error) => return drop(reply.send(Err(error.into()))),
        };
        // The first event holds it.
        let context = new.terms.context.take();
        let context = context.and_then(|context| serde_json::from_str(&context).ok()).unwrap_or_default();
        let mut run = Box::new(Run::starting(&new, names, exec));
        let inputs = vec![Input::Start { input, seed: self.session.abide.host().seed(), context }];
        let Some(live) = run.phase.live_mut() else { return };
        let first = self.run_turn(run.id, &run.names, live, inputs);
        if self.is_written_off() {
            return;
        }
        let (append, mut in_flight) = compose::append(&self.session, &mut run, first, Taken::default());
        in_flight.start = Some(reply);
        // The new row already contains the change of its first turn.
        in_flight.row.iter_mut().for_each(|row| row.rev = 0);
        let Some(mut append) = append else { return };
        append.births.push(new);
        append.children.iter_mut().for_each(|child| child.starts = true);
        run.bytes += BASE_BYTES;
        self.bytes += run.bytes;
        self.submit(&mut run, append, in_flight);
        self.put(run);
    }

    /// Runs a turn with all inputs that wait.
    pub(super) fn turn(&mut self, run: &mut Run) {
        if self.reads_again(run) {
            return;
        }
        let Some(live) = run.phase.live_mut() else { return };
        let mut taken = Taken::from(std::mem::take(&mut run.mailbox.inputs), &live.exec);
        let inputs = std::mem::take(&mut taken.inputs);
        let turn = self.run_turn(run.id, &run.names, live, inputs);
        if self.is_written_off() {
            return;
        }
        let before = run.bytes;
        let (append, in_flight) = compose::append(&self.session, run, turn, taken);
        self.bytes += run.bytes - before;
        match append {
            Some(append) => self.submit(run, append, in_flight),
            None => self.done(run, in_flight),
        }
    }

    /// Reads a run again, once, if its inbox has the outcome or the answer of a command that the live state does
    /// not know. If the command is still unknown then, the row is taken in with a warning: otherwise the run would be
    /// read for ever.
    fn reads_again(&mut self, run: &mut Run) -> bool {
        let Some(command) = run.exec().and_then(|exec| run.mailbox.unknown_command(exec)) else {
            run.read_again = false;
            return false;
        };
        if std::mem::replace(&mut run.read_again, true) {
            tracing::warn!(execution = %run.id, %command, "an outcome of an unknown command is dropped");
            return false;
        }
        self.read_again(run, None);
        true
    }

    fn run_turn(&mut self, id: ExecutionId, names: &Names, live: &mut Live, inputs: Vec<Input>) -> Turn {
        let _entered = names.span().entered();
        let now_ms = self.session.store().now_ms();
        #[cfg(feature = "testing")]
        if self.session.options.checks_replay {
            let given = inputs.clone();
            live.exec.format_everything();
            let mut turn = self.watched(id, &mut live.exec, |exec| exec.turn(inputs, now_ms));
            if let Some(workflow) = self.session.registry.workflow_type(&names.workflow_type) {
                let run = (&live.exec, names.info());
                verify::turn(&mut live.recorded, run, workflow, &mut turn, given);
            }
            return turn;
        }
        self.watched(id, &mut live.exec, |exec| exec.turn(inputs, now_ms))
    }
}
