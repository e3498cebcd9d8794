"""The studio: a page that edits faces with trained runs, and the server behind it.

The server binds this computer's own address only, prints an address with a token, and keeps everything in memory.
The page is plain files (``page/``), which speak to it as follows. Importing this package imports neither torch nor
Starlette.

**Every request** must name this server in ``Host``, and if it has an ``Origin``, that must be the page's own.
Requests to ``/api/`` carry the token in the header ``X-Facekit-Token``; pictures are fetched with it too, and shown
from blobs. JSON is sent as ``application/json``.

**Every error** is ``{"error": {"message", "where", "remedy"}}``, with ``"problems": [{"message", "path", "remedy",
"line", "column"}]`` where a script has mistakes. 400: a mistake in what was sent. 401: a wrong token. 403: a foreign
Host or Origin. 404: nothing there. 405: the wrong method. 408: too slow. 409: outdated, or in conflict with what is
there. 413: too large. 415: a body of the wrong kind. 500: a defect. 503: too busy, with ``Retry-After``.

**A mask** in JSON is ``{"size": [height, width], "ids": base64 of height * width bytes}``: a class id a pixel, row
by row. ``label_map`` beside it says what the ids mean; a run takes masks of its own label map, and of the finer one
that it merges. Masks of faces have the studio's ``side``: the size of its largest run, and 512 at least where a run
fills in parts.

**A face** is ``{"id", "name", "source", "label_map", "has_mask", "mask_source", "size", "aligned", "removable",
"notes", "files": {"photo", "mask"}}``. ``source`` is ``data``, ``drawn`` or ``upload``. ``files`` are the names that
operations of scripts name it by; an aligned upload is known by the names of its own files as well. ``size`` is
``[height, width]`` of the photo that an edit is put back into; ``aligned`` is false where the face was found in a
larger photo.

``GET /`` and ``GET /page/NAME``
    The page and its files. They need no token, and hold nothing.

``GET /api/state``
    ``{facekit, side, runs, label_maps, faces, operations, can_parse, can_align, limits}``. A run is ``{id, name,
    folder, size, label_map, weights, step, inputs, local, tunable}``; ``inputs`` is what its images are made from:
    ``mask``, ``reference``, ``reference_mask``; or ``mask``, ``source`` and ``hole`` for a run that fills in parts of
    faces. ``tunable`` says whether it can be tuned to a face. ``local`` is null, or ``{folder, step}`` of the run that
    fills in edits of a part for it. ``label_maps`` is by name,
    each ``{classes: [{id, name, colour: [r, g, b]}], mirrored: [[left, right]], of}``. ``operations`` is by name,
    each the JSON Schema of its options. ``limits`` is ``{upload_bytes, pixels, json_bytes, mask_side, faces}``.

``GET /api/faces/ID/photo``, ``GET /api/faces/ID/mask``, ``GET /api/faces/ID/ids``
    The square around the face, ``side`` pixels, as PNG (``files.photo``); its mask as indexed PNG with exact ids
    (``files.mask``); its mask as JSON.

``POST /api/faces?name=FILE&aligned=0|1``
    The body is a PNG, JPEG or WebP file. 201 and the new face. Where a face detector and a segmenter are there
    (``can_align``), its face is found and cut out, unless ``aligned=1``; where a segmenter is there
    (``can_parse``), its mask is read. Else it is taken as a square around a face, and ``has_mask`` is false until
    its mask is sent.

``PUT /api/faces/ID/mask?name=FILE&label_map=NAME``
    The body is a PNG of class ids; the face with it. For uploads. ``label_map`` is the first run's where it is left
    out.

``DELETE /api/faces/ID``
    204; the upload is gone.

``POST /api/apply``: ``{mask, label_map, operations}``
    ``{mask, notes}`` after operations of edit scripts. Files that they name are those of the studio's faces.

``POST /api/lint``: ``{mask, label_map, run}``
    ``{findings: [{level, message, remedy, region}]}``.

``POST /api/preview``: ``{run, mask, label_map, look, into, tuned, client, sequence}``
    PNG of the run's size. ``look`` is ``{"face": ID, "blends": [{"face": ID, "amount": 0..1}]}``: the look of a face,
    then part of the way to those of others, one after another. ``into`` is null for the picture as it is generated; or
    the face whose square it is put back into, as an edit is: PNG of ``side``, which differs from the square only where
    the mask differs from the face's, or everywhere, where a look is given. ``look`` is null for the own look of
    ``into``, as in a script without looks, and for runs that read no reference. A run that fills in parts needs
    ``into``.
    ``tuned`` is null for the run as it is, or the face that is edited, where the run is tuned to it; else 409.
    ``client`` names who asks (up to 64 letters, digits, dashes, underscores), and ``sequence`` counts its requests
    up. A preview that waits while a newer one of the same client and run arrives gets 409, as does one that is not
    newer than what was asked for; one that is being generated is finished. The headers ``X-Facekit-Milliseconds`` and
    ``X-Facekit-Sequence`` say how long painting took, and which one it is; ``X-Facekit-Local`` is 1 where a run filled
    in the part that changed, and 0 where one generated the whole face.

``POST /api/tuning``: ``{run, face}``; ``GET`` and ``DELETE /api/tuning?run=ID&face=ID``
    Tunes a run to a face, beside its painting; how far that is; cancels it, or takes it back (204). ``{state, done,
    steps, note, error}``; ``state`` is ``none``, ``tuning``, ``tuned`` or ``failed``; ``note`` is how long it took and
    what it gave; ``error`` is null, or ``{message, remedy}``.

``POST /api/export/picture``: ``{run, face, name, description, operations, mask, tuned}``
    The PNG file, provenance included, that ``facekit edit`` makes of the same photo, mask and script. ``mask`` may
    be left out; where it is given, 409 says that the operations do not lead to it. With ``tuned``, it is what
    ``facekit edit --tune`` makes; 409 where the run is not tuned to the face.

``POST /api/export/bundle``: the same
    ZIP: the picture, photo, mask, script, the files that the script names, and the command that makes the picture
    again.

``POST /api/export/mask``: ``{mask, label_map}``
    Indexed PNG, exact ids, the label map's palette.

``POST /api/mask/read?label_map=NAME``
    The body is a PNG of class ids of a square; ``{mask}``, at ``side`` pixels. It is kept nowhere.

``POST /api/script/write``: ``{name, description, label_map, operations}``
    The script as YAML.

``POST /api/script/read``: ``{text, label_map}``
    ``{name, description, label_map, operations}``. With a label map, names of classes are checked too.
"""
