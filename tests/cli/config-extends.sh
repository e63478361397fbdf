# A file changes only the keys it names; --set wins over the file, the last --set over the first.
cat > small.toml <<'END'
extends = "openmythos-1b"
[model]
dim = 64
END
cat > smaller.toml <<'END'
extends = "small.toml"
[model]
max_loop_iters = 2
END
mythos plan --config smaller.toml --json | json 'd["parameters"]' 'd["loops"]'
mythos plan --preset openmythos-1b --set dim=64 --set max_loop_iters=2 --json | json 'd["parameters"]' 'd["loops"]'
mythos plan --config smaller.toml --set max_loop_iters=8 --set max_loop_iters=3 --json | json 'd["loops"]'
