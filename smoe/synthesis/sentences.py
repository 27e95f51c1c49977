"""Sentences without end: one small grammar per language, written for this corpus."""

import numpy as np

# Each slot lists its alternatives; a sentence takes one of each, joined by blanks. The wording
# covers the sounds of each language and leaves commas, at which the voices pause.
GRAMMARS: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Yesterday", "Every morning", "After the storm", "Just before noon", "As usual", "Later"),
        ("my neighbour", "the young baker", "our quiet teacher", "a tall sailor", "the judge",
         "her oldest cousin", "the choir", "a travelling chemist", "the night nurse"),
        ("found", "painted", "carried", "should have measured", "is going to fix", "sketched",
         "would rather borrow", "has just thrown away", "joyfully polished"),
        ("seven green lanterns", "a box of fresh oysters", "the broken weather vane",
         "this azure jug", "three thick blankets", "an old church organ", "the last chapter",
         "five bicycle wheels"),
        ("near the harbour,", "beyond the vineyard,", "under the bridge,", "on the kitchen shelf,",
         "in front of the museum,", "at the edge of the forest,"),
        ("and nobody asked why.", "but it rained all day.", "so we changed the plan.",
         "while the others were sleeping.", "which made us laugh.",
         "though the pages were missing.", "because the children enjoy it.",
         "and the whole village heard about it."),
    ),
    "de": (
        ("Gestern", "Jeden Morgen", "Nach dem Sturm", "Kurz vor Mittag", "Wie immer", "Später"),
        ("hat mein Nachbar", "hat die junge Ärztin", "hat unser Lehrer", "hat der alte Fischer",
         "hat eine Köchin", "hat das Mädchen"),
        ("sieben grüne Laternen", "eine Kiste Äpfel", "das zerbrochene Fenster",
         "drei dicke Bücher", "den letzten Schlüssel", "fünf schöne Fahrräder"),
        ("am Hafen", "hinter dem Weinberg", "unter der Brücke", "in der Küche", "vor dem Museum"),
        ("gefunden,", "gezeichnet,", "verkauft,", "sorgfältig geputzt,", "vergessen,"),
        ("und niemand fragte danach.", "aber es regnete den ganzen Tag.",
         "weil die Kinder lachten.", "während die anderen schliefen.",
         "obwohl wir gewarnt hatten."),
    ),
    "fr": (
        ("Hier", "Chaque matin", "Après l'orage", "Peu avant midi", "Comme toujours", "Plus tard"),
        ("mon voisin", "la jeune boulangère", "notre professeur", "un grand marin", "ma cousine"),
        ("a trouvé", "a dessiné", "a réparé", "veut emprunter", "a soigneusement rangé"),
        ("sept lanternes vertes", "une caisse d'huîtres", "la vieille horloge", "trois gros livres",
         "un parapluie jaune", "cinq roues de vélo"),
        ("près du port,", "derrière la vigne,", "sous le pont,", "dans la cuisine,",
         "devant le musée,"),
        ("et personne n'a rien dit.", "mais il a plu toute la journée.",
         "parce que cela nous amuse.", "pendant que les autres dormaient.",
         "ce qui nous a bien fait rire."),
    ),
    "es": (
        ("Ayer", "Cada mañana", "Después de la tormenta", "Poco antes del mediodía", "Más tarde"),
        ("mi vecino", "la joven panadera", "nuestro maestro", "un marinero alto", "su prima mayor"),
        ("encontró", "dibujó", "quiso arreglar", "vendió", "limpió con cuidado"),
        ("siete faroles verdes", "una caja de naranjas", "el reloj de la iglesia",
         "tres libros gruesos", "una jarra azul", "cinco ruedas viejas"),
        ("cerca del puerto,", "detrás de la viña,", "bajo el puente,", "en la cocina,",
         "delante del museo,"),
        ("y nadie preguntó por qué.", "pero llovió todo el día.", "porque a los niños les gusta.",
         "mientras los demás dormían.", "y todo el pueblo se enteró."),
    ),
    "it": (
        ("Ieri", "Ogni mattina", "Dopo il temporale", "Poco prima di mezzogiorno", "Più tardi"),
        ("il mio vicino", "la giovane fornaia", "il nostro maestro", "un vecchio pescatore",
         "mia cugina"),
        ("ha trovato", "ha disegnato", "vuole riparare", "ha venduto", "ha pulito con cura"),
        ("sette lanterne verdi", "una cassa di arance", "l'orologio della chiesa",
         "tre libri spessi", "la chiave d'argento", "cinque ruote vecchie"),
        ("vicino al porto,", "dietro la vigna,", "sotto il ponte,", "in cucina,",
         "davanti al museo,"),
        ("e nessuno ha chiesto perché.", "ma è piovuto tutto il giorno.", "perché ci piace molto.",
         "mentre gli altri dormivano.", "e tutto il paese lo ha saputo."),
    ),
}  # fmt: skip


def sentence(language: str, rng: np.random.Generator) -> str:
    """One random sentence.

    Args:
        language: A key of `GRAMMARS`.
        rng: Draws one alternative per slot.
    """
    return " ".join(slot[rng.integers(len(slot))] for slot in GRAMMARS[language])
