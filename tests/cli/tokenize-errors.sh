# What tokenize refuses.
# fixture: text
tok=$FIXTURES/text/tok.model
run mythos tokenize --tokenizer missing.model --ids - < /dev/null
echo "not a model" > bad.model
run mythos tokenize --tokenizer bad.model --ids - < /dev/null
run mythos tokenize --tokenizer "$tok" --output data missing.txt
run mythos tokenize --tokenizer "$tok" text.txt
: > empty.txt
run mythos tokenize --tokenizer "$tok" --output data empty.txt
echo hello > a.txt
run mythos tokenize --tokenizer "$tok" --output data --val-fraction 1.5 a.txt
echo "12 999999" > ids
run mythos tokenize --tokenizer "$tok" --decode ids
echo "12 x" > ids
run mythos tokenize --tokenizer "$tok" --decode ids
mkdir precious; touch precious/thing
run mythos tokenize --tokenizer "$tok" --output precious a.txt
ls -A . precious
