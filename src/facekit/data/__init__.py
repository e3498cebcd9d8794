"""The data room: packed caches, loaders, checks, previews and exports of any dataset; knows none in particular."""
