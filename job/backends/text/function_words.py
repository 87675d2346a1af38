"""Function words by language: articles, pronouns, prepositions, conjunctions, auxiliaries.

Long lists of stop words hold what headlines are about ("fire", "war", "state", "bill", "world"), so these are short. A
word that is frequent but has a meaning is left to the weights of the keywords.
"""

_ENGLISH = """
a an the this that these those such same other another others each every either neither both all any some no none not
i me my myself mine we us our ours ourselves you your yours yourself he him his himself she her hers herself it its
itself they them their theirs themselves one ones oneself someone somebody something anyone anybody anything everyone
everybody everything nobody nothing who whom whose which what whatever whoever whichever when whenever where wherever
why how however whether there here and or but nor so yet if then else than because since while whereas although though
unless until till as at by for from in into of off on onto out over to up upon with within without about above across
after afterwards against along alongside amid among amongst around before behind below beneath beside besides between
beyond despite down during except inside like near outside past per plus regarding through throughout toward towards
under unlike versus vs via am is are was were be been being isn aren wasn weren do does did done doing don doesn didn
have has had having hasn haven hadn can cannot could couldn will would wouldn won shall should shouldn may might must
ought need let lets get gets got getting gotten become becomes became come comes came coming go goes going gone went
make makes made making take takes took taken taking put puts keep keeps kept give gives gave given very too also just
only even still already again once ever never always often sometimes perhaps maybe almost quite rather really much many
more most less least few fewer lot lots enough several own now soon later ago away back together apart else instead
well anyway thus hence therefore dont cant wont im ive isnt doesnt didnt thats whats heres youre
"""
_GERMAN = """
der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner dieser diese dieses diesen
diesem dies jeder jede jedes jeden jedem alle allen aller alles andere anderen anderer mancher manche einige mehrere
viele vielen wenige ich du er sie es wir ihr man mich mir dich dir ihn ihm ihnen uns euch sich mein meine meinen meiner
dein deine sein seine seinen seinem seiner ihre ihren ihrem ihrer unser unsere unseren euer eure wer wen wem wessen was
welche welcher welches wo woher wohin wann wie warum wieso weshalb und oder aber denn sondern als ob weil dass wenn
obwohl damit bevor nachdem während bis seit sowie sowohl weder noch in im ins an am ans auf aus bei beim von vom zu zum
zur mit nach vor über unter um für gegen durch ohne zwischen hinter neben ab außer trotz wegen statt laut bin bist ist
sind seid war waren wäre wären gewesen sei habe hast hat haben hatte hatten hätte hätten gehabt werde wird werden wurde
wurden würde würden worden kann können konnte könnte könnten muss müssen musste müsste soll sollen sollte sollten will
wollen wollte wollen darf dürfen mag möchte lässt lassen nicht nie nichts nur auch schon noch mehr sehr so da dort hier
dann nun jetzt heute gestern morgen wieder immer doch mal etwa fast ganz kaum bereits dabei dafür dagegen dann daran
darauf daraus darum davon dazu dass deshalb jedoch zwar ja nein
"""
_FRENCH = """
le la les l un une des du de d au aux ce cet cette ces c ça cela ceci je j tu il elle on nous vous ils elles me m te t
se s lui leur leurs moi toi soi eux mon ma mes ton ta tes son sa ses notre nos votre vos qui que qu quoi dont où quel
quelle quels quelles lequel laquelle quand comment pourquoi combien et ou mais donc or ni car si comme lorsque puisque
parce tandis ainsi à dans en par pour sur sous sans avec chez vers entre contre depuis pendant avant après devant
derrière dès jusque jusqu selon malgré parmi hors sauf envers être est es suis sommes êtes sont était étaient étais
sera seront serait seraient fut furent soit soient été étant avoir ai as a avons avez ont avait avaient aura auront
aurait auraient eu ayant fait faire peut peuvent doit doivent va vont ne n pas plus moins très trop peu beaucoup
aussi bien encore déjà toujours jamais rien tout tous toute toutes autre autres même mêmes chaque quelques plusieurs
aucun aucune y là ici alors puis ensuite voici voilà non oui
c'est n'est qu'il qu'elle d'un d'une qu'un qu'une s'est n'a l'on j'ai
"""
_SPANISH = """
el la los las lo un una unos unas al del de este esta estos estas esto ese esa esos esas eso aquel aquella aquellos yo
tú él ella ello nosotros vosotros ellos ellas usted ustedes me te se nos os le les mi mis tu tus su sus nuestro nuestra
nuestros nuestras que qué quien quién quienes cual cuál cuales cuando cuándo donde dónde como cómo cuanto cuánto por
porque y e o u pero sino ni si aunque mientras pues a ante bajo con contra desde durante en entre hacia hasta mediante
para según sin sobre tras es son era eran fue fueron ser sido siendo sea sean sería será serán está están estaba
estaban estar estado estoy soy hay ha han he has haber había habían habrá habría hubo tiene tienen tenía tener puede
pueden debe deben hace hacer no nunca nada nadie más menos muy mucho muchos mucha muchas poco pocos todo toda todos
todas otro otra otros otras mismo misma cada algún alguna algunos algunas ningún ninguna tan tanto también tampoco ya
aún todavía siempre así aquí allí ahora hoy ayer luego después antes entonces sólo solo casi
"""
_ITALIAN = """
il lo la i gli le l un uno una di a da in con su per tra fra del dello della dei degli delle dell al allo alla ai agli
alle all dal dallo dalla dai dagli dalle dall nel nello nella nei negli nelle nell sul sullo sulla sui sugli sulle sull
io tu lui lei noi voi loro mi ti si ci vi ne me te se sé che chi cui quale quali quanto quanti quando dove come perché
e ed o od ma però anche se né questo questa questi queste quello quella quelli quelle quel quei ciò suo sua suoi sue mio
mia miei mie tuo tua nostro nostra nostri vostro è sono sei siamo siete era erano fu furono sia siano sarà saranno
sarebbe essere stato stata stati state ho hai ha abbiamo avete hanno aveva avevano avrà avrebbe avere può possono deve
devono fa fare va non mai niente nulla più meno molto molti poco tutto tutta tutti tutte altro altra altri altre ogni
qualche stesso stessa ancora già sempre poi così qui là ora oggi ieri dopo prima contro senza verso fino durante mentre
secondo due
"""
_DUTCH = """
de het een die dat dit deze er ik jij je u hij zij ze wij we jullie mij me hem haar hen hun ons onze zich zijn mijn jouw
uw wie wat welke waar wanneer waarom hoe en of maar want dus omdat als dan toen terwijl hoewel in op te ten ter aan bij
uit van voor na naar met om over door tot tegen onder tussen zonder sinds vanaf tijdens volgens ben bent is was waren
geweest heb hebt heeft hebben had hadden word wordt worden werd werden zal zullen zou zouden kan kunnen kon konden moet
moeten moest mag mogen wil willen gaat gaan niet geen nooit niets niemand wel ook nog al meer minder veel weinig alle
alles andere ander elk elke iets iemand zo zelf hier daar nu toch heel zeer weer altijd vandaag gisteren een
"""
_PORTUGUESE = """
o a os as um uma uns umas de do da dos das em no na nos nas num numa por pelo pela pelos pelas para com sem sob sobre
entre até desde após ante contra durante segundo ao aos à às eu tu ele ela nós vós eles elas você vocês me te se lhe
lhes meu minha meus minhas teu tua seu sua seus suas nosso nossa nossos nossas este esta estes estas isto esse essa
esses essas isso aquele aquela aqueles aquilo que quem qual quais quando onde como quanto porque porquê e ou mas nem
se pois embora enquanto é são era eram foi foram ser sido sendo seja sejam será serão seria está estão estava estavam
estar estou sou há tem têm tinha tinham ter teve tenha haver houve pode podem deve devem faz fazer vai vão não nunca
nada ninguém mais menos muito muitos muita muitas pouco poucos todo toda todos todas tudo outro outra outros outras
mesmo mesma cada algum alguma alguns nenhum nenhuma tão tanto também já ainda sempre assim aqui ali agora hoje ontem
depois antes então só quase
"""
_RUSSIAN = """
и в во не на я с со а но или что чтобы как так то это этот эта эти этого этой этих этом этому этим той того тот тем том
те тех тому быть был была было были будет будут буду есть нет он она оно они его её ее ему ей им их ними ним них нему
ней мы нас нам нами наш наша наше наши вы вас вам вами ваш ваша ты тебя тебе мой моя моё мое мои меня мне мной свой
своя своё своего своей своих свои свою себя себе собой сам сама сами само кто кого кому кем чего чему чем который
которая которое которые которого которой которых котором которым где куда откуда когда почему зачем сколько какой какая
какое какие каких каким ли же бы ведь вот даже лишь только уже ещё еще очень более менее больше меньше самый самая
самое самые все всё всех всем всеми весь вся всего всей всю каждый каждая каждое другой другая другие других за из изо
к ко о об обо от ото по под подо при про у для до без безо над между через перед после среди из-за из-под против около
если хотя пока потому поэтому также тоже можно может могут мог могла могли нужно надо нельзя там тут здесь туда сюда
теперь сейчас сегодня вчера завтра потом затем тогда всегда никогда никто ничего ничто ни да снова опять почти один
одна одно одни
"""
# numerals and words of all news: they have a meaning, but are no subject
_NO_SUBJECT = """
two three four five six seven eight nine ten hundred thousand million millions billion trillion first second third
next last former latter year years today yesterday tomorrow tonight mr mrs ms inc ltd say says said saying tell tells
told see sees seen want wants way ways thing things new eins zwei drei vier fünf sechs sieben acht neun zehn deux
trois quatre cinq sept huit neuf dix dos tres cuatro cinco seis siete ocho nueve diez tre quattro cinque sette otto
nove dieci twee drie vijf zes zeven negen tien dois duas três quatro sete oito dez два две три четыре пять шесть семь
восемь девять десять
"""
_LISTS = {
    "en": _ENGLISH,
    "de": _GERMAN,
    "fr": _FRENCH,
    "es": _SPANISH,
    "it": _ITALIAN,
    "nl": _DUTCH,
    "pt": _PORTUGUESE,
}
LATIN = {language: frozenset(words.casefold().split()) for language, words in _LISTS.items()}
RUSSIAN = frozenset(_RUSSIAN.split())
NO_SUBJECT = frozenset(_NO_SUBJECT.split())
# function words of one language that are subjects, names or other words in another: "war", "son", "car", "Allen"
SUBJECTS_ELSEWHERE = frozenset(
    """
    war die dies man nun hat bin laut allen fast mag er ins mit son car ton mon pour comment aura sera elle pas sea era
    sin hay solo sean contra tan sia dove state due sue fare mia dal dell ed ho sei ora secondo men door want ben dan
    van heel met word ander ons op han nas os ante va
    """.split()
)
