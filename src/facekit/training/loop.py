"""The training loop, from the first line of the set-up to the last checkpoint. To know what a step does, read it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path

import torch

from facekit.data.parallel import ProgressCallback
from facekit.data.store import PackedFaces
from facekit.doctor.requirements import library_versions
from facekit.interfaces import FaceBatch, RunFinished, SamplesSaved, StepLogged
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.sampling.inputs import inputs_of
from facekit.training import distributed, lockfile
from facekit.training.augmentation import build_augmentation
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import Checkpoint
from facekit.training.checkpoint.reader import components_of
from facekit.training.convolution_guard import right_gradients
from facekit.training.distributed import GradientAverage, Team
from facekit.training.initialise import initial_weights
from facekit.training.interruption import Interruption
from facekit.training.loss_shares import LossShares
from facekit.training.memory import give_freed_memory_back, keep_freed_memory
from facekit.training.nan_guard import LossGuard, out_of_memory
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FROZEN, build_model, count_parameters, load_frozen, write_frozen
from facekit.training.open_data import open_data, open_loader, steps_of
from facekit.training.optimiser import Ema, averaged_networks
from facekit.training.players import build_losses, build_players
from facekit.training.precision import HalfWeights, accelerate, choose_precision, recompute_activations, reproducible
from facekit.training.run.commands import resume_command
from facekit.training.run.event_log import Journal, Observer, RunResult, rewind
from facekit.training.run.folder import RunFolder, folder_errors
from facekit.training.samples import CHANGES_WITH_REFERENCE, FixedFaces, ReferenceWatch, measures_at
from facekit.training.state import CheckpointWriter, TrainingState, global_states_kept, seed_everything
from facekit.training.step import GRADIENT_NORM, StepRunner, rehearse
from facekit.training.validation import BestCheckpoint, Evaluate, check_settings, evaluated


def train(
    recipe: ResolvedRecipe,
    *,
    out: Path,
    registry: Registry,
    observer: Observer | None = None,
    resume: bool | None = False,
    command: str = "",
    evaluate: Evaluate | None = None,
    progress: ProgressCallback | None = None,
    packed: PackedFaces | None = None,
    watched: bool = True,
) -> RunResult:
    """Train what a recipe describes.

    What a step does is in :mod:`facekit.training.step`. Everything random is a function of the seed and the step.
    On the CPU with the same number of threads, and on CUDA with ``train.deterministic``, n steps equal k steps, a kill
    and ``resume``, bit for bit. A resumed run takes settings from its recipe and all else from its checkpoint.

    Args:
        observer: told every event; what it raises ends the run.
        resume: go on with the run in ``out``, from its newest sound checkpoint, or from the start when it has none yet;
            None where it holds one, else start.
        evaluate: measures the model on the validation split every ``train.evaluate_every`` steps.
        packed: faces to train on in place of the recipe's dataset.
        watched: tell the plugins that watch runs; not for runs that nobody keeps.

    Raises:
        FacekitError: a mistake in the recipe or the data, a folder that another run holds or another process owns.
        RunFailure: a loss was not finite, the disk is full, or another process of the run ended. The checkpoints
            written before stay as they were.
    """
    began = time.perf_counter()
    run = RunFolder(out)
    with (
        distributed.team() as team,
        run.owned(leads=team.leads) as warnings,
        folder_errors(run),
        global_states_kept(),
    ):
        training = Training(
            recipe,
            run,
            registry=registry,
            observer=observer,
            resume=run.holds_a_run if resume is None else resume,
            command=command,
            evaluate=evaluate,
            progress=progress,
            packed=packed,
            watched=watched,
            team=team,
        )
        training.warnings[:0] = warnings
        device = training.precision.device
        with reproducible(device, recipe.train.deterministic), right_gradients(device):
            outcome = training.run_steps()
    seconds, warned = time.perf_counter() - began, tuple(training.journal.warnings)
    return RunResult(outcome, training.state.done, training.steps, run.path, seconds, warned)


class Training:
    """A run in memory: set up by the constructor with what :func:`train` takes, trained by :meth:`run_steps`."""

    def __init__(
        self,
        recipe: ResolvedRecipe,
        run: RunFolder,
        *,
        registry: Registry,
        observer: Observer | None,
        command: str,
        evaluate: Evaluate | None,
        progress: ProgressCallback | None,
        packed: PackedFaces | None,
        watched: bool,
        team: Team,
        resume: bool,
    ) -> None:
        self.recipe, self.settings, self.run, self.team, self.evaluate = recipe, recipe.train, run, team, evaluate
        self.registry = registry
        settings = self.settings

        # What cannot go together fails before anything is built.
        check_settings(settings, evaluates=evaluate is not None)
        found = checkpoints.newest(run.checkpoints) if resume else None
        before = lockfile.check_folder(run, recipe, registry=registry, resume=resume, found=found)
        self.precision = choose_precision(settings, index=team.local_rank)
        on_cpu = self.precision.device.type == "cpu"
        (give_freed_memory_back if on_cpu and settings.activation_checkpointing else keep_freed_memory)()

        # Data. A player that is updated several times a step sees other faces each time.
        self.packed = open_data(recipe, registry, progress) if packed is None else packed
        on_gpu = self.precision.device.type == "cuda"
        self.loader = open_loader(recipe, self.packed, rank=team.rank, world_size=team.size, pixels=on_gpu)
        self.steps = steps_of(recipe, self.loader, world_size=team.size)
        inputs = inputs_of(recipe, registry.label_maps)
        self.fixed = FixedFaces(self.packed, settings.samples, self.precision, inputs, seed=settings.seed)

        # Model. What a run keeps frozen may be gone from where it came from.
        packed = self.packed
        self.model = build_model(recipe, label_map=packed.label_map, attribute_names=packed.attribute_names)
        kept = self.model.frozen if resume else frozenset()
        initial = [] if found is not None else initial_weights(recipe, registry=registry, without=kept)
        initialised = [weights.load(self.model) for weights in initial]
        if before is not None and self.model.frozen:
            load_frozen(run, self.model, before.lock)
        self.precision.place(self.model).train()
        team.share([*self.model.parameters(), *self.model.buffers()])

        self.warnings: list[str] = []
        self._build_step()
        self._take_over(found, before, command=command, initialised=initialised, resume=resume)
        self.journal = Journal(run, registry=registry if watched else None, observer=observer, silent=not team.leads)
        self.writer = CheckpointWriter(run, settings, told=self.journal.saved)

    def _build_step(self) -> None:
        """Build what a step is made of: augmentation, networks as losses call them, players, average, guard."""
        recipe, settings, model, team = self.recipe, self.settings, self.model, self.team
        label_map, attribute_names = self.packed.label_map, self.packed.attribute_names
        self.augmentation = build_augmentation(
            recipe, precision=self.precision, label_map=label_map, attribute_names=attribute_names, team=team
        )
        if settings.activation_checkpointing:
            self.warnings += recompute_activations(model)
        # Gradients of several micro-batches are summed in fp32.
        halved = self.precision.halves_weights and settings.accumulate == 1
        self.half = HalfWeights(model) if halved else None
        self.networks = RunNetworks(
            model,
            self.precision,
            recipe=recipe,
            label_maps=self.registry.label_maps,
            acceleration=accelerate(settings, self.precision.device, size=recipe.data.size, steps=self.steps),
            half=self.half,
            augmentation=self.augmentation,
        )
        losses = build_losses(
            recipe,
            precision=self.precision,
            label_map=label_map,
            attribute_names=attribute_names,
            steps=self.steps,
        )
        self.players = build_players(
            recipe, model=model, losses=losses, steps=self.steps, processes=team.size, half=self.half
        )
        tried = [self.loader.pixels(0, each) for each in range(self.loader.accumulate)]
        self.acceleration = rehearse(self.networks, self.players, settings, tried)
        images = settings.batch * settings.accumulate * team.size
        ema = Ema(model, settings.ema, averaged_networks(recipe), images=images) if settings.ema.on else None
        self.sampled, self.sampled_weights = (model, "live") if ema is None else (ema.model, "ema")
        self.guard = LossGuard(self.run, self.precision.device, dict(model.named_parameters()))
        self.loss_shares = LossShares(model, self.players, every=settings.loss_shares)
        self.state = TrainingState(
            model=model,
            players=self.players,
            ema=ema,
            guard=self.guard,
            watch=ReferenceWatch(self.steps),
            best=BestCheckpoint(settings.keep.best),
            components=components_of(recipe),
            loss_shares=self.loss_shares,
            augmentation=self.augmentation,
        )
        self.steps_of = StepRunner(
            self.networks,
            self.players,
            settings,
            rank=team.rank,
            watch=self.guard.watch,
            average=GradientAverage(team, torch.bfloat16 if settings.gradient_averaging == "bf16" else torch.float32),
            mean=team.average,
            loss_shares=self.loss_shares,
        )
        self.seconds, self.timed = 0.0, 0

    def _take_over(
        self,
        found: Checkpoint | None,
        before: lockfile.RunLock | None,
        *,
        command: str,
        initialised: list[str],
        resume: bool,
    ) -> None:
        """Write the record of a run that starts; go on from the record and the checkpoint of one that is there."""
        run, team, recipe = self.run, self.team, self.recipe
        now = lockfile.make_record(
            recipe,
            packed=self.packed,
            precision=self.precision,
            acceleration=self.acceleration,
            command=command,
            parameters=count_parameters(self.model),
            steps=self.steps,
            processes=team.size,
            registry=self.registry,
            libraries=library_versions,
        )
        self.resume_command = resume_command(run.path, now)
        if before is not None:
            self.warnings += [*before.warnings, *lockfile.compare_records(before, now)]
            if found is not None:
                self.warnings += [*found.damaged, *self.state.restore(found, self.precision.device)]
                if self.half is not None:
                    self.half.renew()
            team.wait()  # every process has read before the first one tidies up
            if team.leads:
                checkpoints.remove_unfinished(run.checkpoints)
                checkpoints.set_aside_newer(run.checkpoints, step=self.state.done)
                self.warnings += rewind(run, self.state.done)
                lockfile.go_on(run, before, now)
        elif team.leads:
            lockfile.start(run, recipe, {**now, "initialised": initialised, FROZEN: write_frozen(run, self.model)})
        self.copies = lockfile.copies(run) if team.leads else {}
        self.start = lockfile.start_event(run, recipe, now, first_step=self.state.done, resumed=resume)

    def run_steps(self) -> str:
        """Train to the last step, or until Ctrl-C; return how it ended, ``finished`` or ``interrupted``."""
        first, settings = self.state.done, self.settings
        try:
            # The threads of the loader end when it is closed.
            with (
                folder_errors(self.run),
                distributed.peers_lost(),
                Interruption() as interruption,
                self.writer,
                closing(self.loader.prefetch(first, self.steps)) as faces,
            ):
                self.journal.started(self.start)
                for warning in self.warnings:
                    self.journal.warned(first, warning)
                for index in range(first, self.steps):
                    self._step(index, faces, checking=index == first)
                    self.state.done = done = index + 1

                    last = done == self.steps
                    stops = self.team.any(interruption.asked)[0] and not last
                    logs = last or done % settings.log_every == 0
                    draws = last or done % settings.sample_every == 0
                    diagnostics: dict[str, float] = {}
                    measures = self.fixed.reads_reference and measures_at(done, log_every=settings.log_every)
                    if draws or (logs and measures):
                        diagnostics = self._look_at_fixed_faces(save=draws)
                    if logs:
                        self._log(diagnostics)
                    every = settings.evaluate_every
                    is_best = every is not None and done % every == 0 and self._measure()
                    self.writer.look()
                    if last or stops or is_best or self.writer.is_due(done):
                        self.state.check(self.run.path)
                        if self.team.leads:
                            self.writer.write(self.state, self.copies)
                    if last or stops:
                        self.writer.finish()
                    if stops:
                        return self._end(
                            "interrupted", f"stopped at step {done} of {self.steps}; go on with: {self.resume_command}"
                        )
                return self._end("finished", "")
        except KeyboardInterrupt:
            self._end("interrupted", f"stopped at once; go on from the last checkpoint with: {self.resume_command}")
            raise
        except BaseException as error:
            failure = out_of_memory(self.run, error) if isinstance(error, torch.OutOfMemoryError) else error
            self._end("failed", str(failure) or type(failure).__name__, failure)
            if failure is not error:
                raise failure from error
            raise

    def _step(self, index: int, faces: Iterator[FaceBatch], *, checking: bool) -> None:
        """Do one step, then follow it with the average."""
        tick = time.perf_counter()
        seed_everything(self.settings.seed, index, self.team.rank)
        self.guard.begin(index)
        self.steps_of.run(index, faces, checking=checking)
        if self.state.ema is not None:
            self.state.ema.update(index)
        self.guard.end()
        self.seconds, self.timed = self.seconds + time.perf_counter() - tick, self.timed + 1

    def _look_at_fixed_faces(self, *, save: bool) -> dict[str, float]:
        """Generate the fixed faces in their own and in each other's style; return diagnostics."""
        self.guard.settle()
        done, file = self.state.done, self.run.sample(self.state.done)
        look = self.fixed.generate(self.sampled, self.precision, batch=self.settings.batch)
        if save and self.team.leads:
            self.fixed.save_grid(file, look, weights=self.sampled_weights)
            self.journal.sampled(SamplesSaved(self.run.path, done, file, self.sampled_weights))
        if look.shuffled is None:
            return {}
        warning = self.state.watch.see(done, look.change)
        if warning is not None:
            self.journal.warned(done, warning)
        return {CHANGES_WITH_REFERENCE: look.change}

    def _log(self, diagnostics: Mapping[str, float]) -> None:
        """Log the means since the last line."""
        self.guard.settle()
        means = self.team.mean(self.guard.means())
        others = {name: value for name, value in means.items() if name.startswith(GRADIENT_NORM)}
        others |= self.team.mean(self.loss_shares.taken())
        if self.augmentation is not None:
            others |= self.augmentation.diagnostics()
        rates = [player.learning_rates(self.state.done - 1).items() for player in self.players.values()]
        self.journal.logged(
            StepLogged(
                run=self.run.path,
                step=self.state.done,
                losses={name: value for name, value in means.items() if name not in others},
                learning_rates=dict(chain(*rates)),
                seconds_per_step=self.seconds / max(1, self.timed),
                diagnostics={**diagnostics, **others},
            )
        )
        for warning in self.loss_shares.warnings():
            self.journal.warned(self.state.done, warning)
        self.guard.reset()
        self.seconds, self.timed = 0.0, 0

    def _measure(self) -> bool:
        """Measure on the validation split; return whether this is the best step so far."""
        if not self.team.leads or self.evaluate is None:
            return False
        self.guard.settle()
        done, training = self.state.done, self.sampled.training
        with torch.no_grad():
            found = self.evaluate(self.sampled.eval(), done)
        self.sampled.train(training)
        for note in found.notes:
            self.journal.warned(done, note)
        event = evaluated(found, run=self.run.path, step=done, split="validation", weights=self.sampled_weights)
        self.journal.evaluated(event)
        return self.state.best.see(done, event.measurements)

    def _end(self, outcome: str, message: str, error: BaseException | None = None) -> str:
        self.writer.finish(failing=True)
        name = type(error).__name__ if error is not None else ""
        self.journal.ended(RunFinished(self.run.path, self.state.done, outcome, message, name))
        return outcome
