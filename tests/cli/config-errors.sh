# A wrong key or value is told with its place, what is allowed and what was probably meant.
run mythos plan --preset nano --set model.dmi=64
run mythos plan --preset nano --set dim
run mythos plan --preset nano --set n_expert=4
run mythos plan --preset nano --set dim=0
run mythos plan --preset nano --set train.min_lr_ratio=1.5
run mythos plan --preset nano --set dim=wide
run mythos plan --preset nano --set attention=mqa
run mythos plan --preset nano --set attention=gqa --set n_kv_heads=3
run mythos plan --preset nano --set n_experts_per_tok=9
run mythos plan --preset nanoo

cat > typo.toml <<'END'
extends = "nano"
[model]
dim = 128
n_loops = 4
END
run mythos plan --config typo.toml
printf 'extends = "nano"\n[trian]\nsteps = 4\n' > table.toml
run mythos plan --config table.toml
printf 'extends = "nanos"\n' > base.toml
run mythos plan --config base.toml
printf 'extends = "b.toml"\n' > a.toml
printf 'extends = "a.toml"\n' > b.toml
run mythos plan --config a.toml
printf '[model\ndim = 1\n' > broken.toml
run mythos plan --config broken.toml
printf '[model]\ndim = "64"\n' > kind.toml
run mythos plan --config kind.toml
run mythos plan --config none.toml
