# A vocabulary is made from files or a pipe, the same each time.
# fixture: text
text=$FIXTURES/text/text.txt
run mythos vocab --quiet --vocab-size 384 --output a.model "$text"
mythos vocab --quiet --vocab-size 384 --output b.model - < "$text"
same a.model b.model
same a.model "$FIXTURES/text/tok.model"
echo "The miller finds a letter." | mythos tokenize --tokenizer a.model --ids - | mythos tokenize --tokenizer a.model --decode -

run mythos vocab --vocab-size 384 --output c.model missing.txt
run mythos vocab --vocab-size 60000 --output c.model "$text"
: > empty.txt
run mythos vocab --vocab-size 384 --output c.model empty.txt
run mythos vocab --vocab-size 384 --output no/such/folder/c.model "$text"
ls
