# The front end lists its verbs, hands arguments and statuses through, and suggests what was meant.
run mythos
run mythos help | head -n 3
run mythos --help | cmp - <(mythos help) && echo "help and --help agree"
mythos --version | sed -E 's/  +.*/  .../'
mythos plan --version | head -n 1
run mythos help plan | cmp - <(mythos plan --help) && echo "help plan is plan --help"

run mythos presetz
run mythos qqqqqqqq
run mythos --versoin
run mythos presets nothing
run mythos plan --presett tiny
run mythos-plan --preset tiny extra
