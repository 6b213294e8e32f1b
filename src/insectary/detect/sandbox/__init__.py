"""The other side of the wall: a process that holds one detector, auditor or attack, no answer.

``insectary.trials.sandboxes`` starts ``python -m insectary.detect.sandbox`` once, and keeps it for
the next family, audit or calibration that would start the same. That process forks a sandbox for
each detector, detector of training rows, auditor or red-team method and each subject, so that
nothing is carried from one to the next, and has never held a label, a model or the name of a
family. The sandbox asks the harness for every answer, walk on a board, activation, gradient and
edited copy, and whether an answer to a question that it was handed is right; what was not
declared, the harness refuses. "Detector" below stands for all four.

Covered:
    - objects: no label (but what a bound is told), group, part, role, family or model is in the
      sandbox's memory, and the subject's name is the same for all;
    - environment, command line and working folder are the sandbox's own and say nothing;
    - the access a detector declared is held to in the other process;
    - imports: of this package a sandbox has ``audit``, ``core``, ``detect``, ``measure`` and
      ``redteam`` alone;
    - disk, where the kernel has Landlock (Linux 5.13, and no rights are needed for it): it reads
      the interpreter, libraries and the code on the import path, and writes its own folder.
      Vaults, reports, what ``/proc`` shows of other processes (the harness's environment and
      memory) are closed to it, no program can be started, and from Linux 6.7 no TCP connection
      be made;
    - network, where the kernel has user namespaces, or to root: it is in a network of its own with
      nobody else in it, for TCP, UDP and abstract sockets (:mod:`insectary.walls.contained`);
    - nothing is left for the next sandbox: its folder is removed, what it printed is wiped, what it
      started is ended;
    - it ends with the harness, at its limit of time, and fails at its limit of memory;
    - of what the harness holds for it, edited copies among them, there are few at a time.

Not covered:
    - what a detector's module, constructor, properties and pickling hooks do: they run in the
      harness, before there is a sandbox;
    - ``random_score``, a null of this package's own, which runs in the harness: it draws from the
      id of a subject, and a sandbox is not told any;
    - a sandbox that swaps the folder of a lent model for a link while the harness writes it;
    - without Landlock, code that reads the user's files or ``/proc`` on purpose: it has the
      user's rights, and the trial says so;
    - what the prompts themselves tell (the text control measures that), and what the author
      of a detector knows of a family and has written into it;
    - names and sizes of files, sockets with a path, timing, and a process that a detector has put
      into a session of its own; UDP where there are no user namespaces;
    - holes of the kernel.
"""

from __future__ import annotations
